// The load generator of `make scale` and `make peers`. It needs Go's standard library alone, so
// that it is built without a network.
module relevo.io/generator

go 1.24
