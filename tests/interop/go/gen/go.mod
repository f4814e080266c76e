// What is generated from the protos, where their go_package says.
module relevo.io/gen

go 1.26
