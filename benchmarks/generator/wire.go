package main

import (
	"encoding/binary"
	"errors"
)

// Protobuf's wire format, as much of it as the messages of the store need.

var errMalformed = errors.New("a malformed message")

// withBytes appends a field that is a text, bytes or a message.
func withBytes(to []byte, field int, data []byte) []byte {
	to = binary.AppendUvarint(to, uint64(field)<<3|2)
	to = binary.AppendUvarint(to, uint64(len(data)))
	return append(to, data...)
}

// withNumber appends a field that is a number. The default, 0, is left out.
func withNumber(to []byte, field int, value int64) []byte {
	if value == 0 {
		return to
	}
	to = binary.AppendUvarint(to, uint64(field)<<3)
	return binary.AppendUvarint(to, uint64(value))
}

// scan calls `each` with the fields of a message in their order: numbers as `value`, all else as
// `data`.
func scan(message []byte, each func(field int, value int64, data []byte)) error {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		if size <= 0 {
			return errMalformed
		}
		message = message[size:]
		value, size := uint64(0), 0
		switch tag & 7 {
		case 0, 2:
			value, size = binary.Uvarint(message)
			if size <= 0 {
				return errMalformed
			}
		case 1:
			size = 8
		case 5:
			size = 4
		default:
			return errMalformed
		}
		if size > len(message) {
			return errMalformed
		}
		data := message[:size]
		message = message[size:]
		if tag&7 == 2 {
			if value > uint64(len(message)) {
				return errMalformed
			}
			data, message = message[:value], message[value:]
			value = 0
		}
		each(int(tag>>3), int64(value), data)
	}
	return nil
}
