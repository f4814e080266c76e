package main

import (
	"encoding/binary"
	"io"
)

// HTTP/2's frames (RFC 9113), as much of it as gRPC needs. Header blocks are constant and use
// no dynamic table; the answers' are not read, as a call that was answered has a message.

const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4

	settingInitialWindow = 4
	errorCancel          = 8

	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	firstWindow  = 1<<16 - 1
	maxWindow    = 1<<31 - 1
	maxFrame     = 1 << 14
	headerBytes  = 9
	prefixBytes  = 5 // of a gRPC message: whether it is compressed, and its length
	grantedAfter = 1 << 29
)

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte // valid until the next frame is read
}

func withFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	size := len(payload)
	to = append(to, byte(size>>16), byte(size>>8), byte(size), kind, flags)
	to = binary.BigEndian.AppendUint32(to, stream)
	return append(to, payload...)
}

func withUint32Frame(to []byte, kind byte, stream, value uint32) []byte {
	return withFrame(to, kind, 0, stream, binary.BigEndian.AppendUint32(nil, value))
}

// hello begins a connection, with windows that never block the server's answers.
func hello() []byte {
	settings := binary.BigEndian.AppendUint16(nil, settingInitialWindow)
	settings = binary.BigEndian.AppendUint32(settings, maxWindow)
	out := withFrame([]byte(preface), frameSettings, 0, 0, settings)
	return withUint32Frame(out, frameWindowUpdate, 0, maxWindow-firstWindow)
}

// readFrame reads a frame into a buffer, which it returns, larger if need be.
func readFrame(from io.Reader, buffer []byte) (frame, []byte, error) {
	if cap(buffer) < headerBytes {
		buffer = make([]byte, 256)
	}
	header := buffer[:headerBytes]
	if _, err := io.ReadFull(from, header); err != nil {
		return frame{}, buffer, err
	}
	size := int(header[0])<<16 | int(header[1])<<8 | int(header[2])
	read := frame{kind: header[3], flags: header[4]}
	read.stream = binary.BigEndian.Uint32(header[5:]) &^ (1 << 31)
	if size > cap(buffer) {
		buffer = make([]byte, size)
	}
	read.payload = buffer[:size]
	_, err := io.ReadFull(from, read.payload)
	return read, buffer, err
}

// framed is a gRPC message with its prefix, appended.
func framed(to, message []byte) []byte {
	to = append(to, 0)
	to = binary.BigEndian.AppendUint32(to, uint32(len(message)))
	return append(to, message...)
}

// headersOf are the headers of a call, without references to the dynamic table (RFC 7541, 6.2.2).
func headersOf(authority, path, timeout string) []byte {
	block := []byte{0x83, 0x86} // :method POST, :scheme http
	named := func(name []byte, value string) {
		block = append(block, name...)
		block = hpackText(block, value)
	}
	literal := func(name string) []byte { return hpackText([]byte{0}, name) }
	named([]byte{0x04}, path)
	named([]byte{0x01}, authority)
	named(literal("te"), "trailers")
	named(literal("content-type"), "application/grpc")
	if timeout != "" {
		named(literal("grpc-timeout"), timeout)
	}
	return block
}

// hpackText is a text that is not compressed, after its length (RFC 7541, 5.1 and 5.2).
func hpackText(to []byte, text string) []byte {
	size := len(text)
	if size < 0x7f {
		to = append(to, byte(size))
	} else {
		to = binary.AppendUvarint(append(to, 0x7f), uint64(size-0x7f))
	}
	return append(to, text...)
}
