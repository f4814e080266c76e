package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	dialSeconds = 20 // as gRPC's clients wait for a connection
	readBuffer  = 4 << 10
)

// sink takes what a stream receives. Its methods are called one at a time, by the goroutine that
// reads the connection.
type sink interface {
	message(data []byte) // valid during the call
	ended(reason string)
}

// conn is an HTTP/2 connection with any number of gRPC streams.
type conn struct {
	socket  net.Conn
	mu      sync.Mutex // of everything below
	streams map[uint32]*stream
	nextID  uint32
	window  int64 // bytes that the connection may send
	initial int64 // the window of a new stream
	out     []byte
	lost    error
	settled chan struct{} // closed once the server's settings have come
}

// stream is one call.
type stream struct {
	conn    *conn
	id      uint32
	window  int64
	waiting []byte // framed messages for which there is no window yet
	isLast  bool   // whether nothing follows them
	isShut  bool   // whether END_STREAM was sent
	partial []byte // the beginning of a message that has not come whole
	sink    sink
}

// dial connects, and waits for the server's settings as gRPC's clients do.
func dial(address string) (*conn, error) {
	socket, err := net.DialTimeout("tcp", address, dialSeconds*time.Second)
	if err != nil {
		return nil, err
	}
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // ends with a reset, so that no port is left waiting
	}
	c := &conn{
		socket: socket, streams: map[uint32]*stream{}, nextID: 1,
		window: firstWindow, initial: firstWindow, settled: make(chan struct{}),
	}
	if _, err := socket.Write(hello()); err != nil {
		_ = socket.Close()
		return nil, err
	}
	go c.read()
	select {
	case <-c.settled:
		return c, nil
	case <-time.After(dialSeconds * time.Second):
		_ = socket.Close()
		return nil, errors.New("the server sends no settings")
	}
}

// isLost says why the connection is of no use any more, nil if it is.
func (c *conn) isLost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// open begins a call with its first messages, which are also the last ones if `isLast`.
func (c *conn) open(headers []byte, to sink, isLast bool, messages ...[]byte) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return nil, c.lost
	}
	s := &stream{conn: c, id: c.nextID, window: c.initial, sink: to, isLast: isLast}
	c.nextID += 2
	c.streams[s.id] = s
	c.out = withFrame(c.out[:0], frameHeaders, flagEndHeaders, s.id, headers)
	for _, message := range messages {
		s.waiting = framed(s.waiting, message)
	}
	s.flush()
	return s, c.send()
}

// send sends a message, or keeps it until the server's windows have room.
func (s *stream) send(message []byte) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return c.lost
	}
	c.out = c.out[:0]
	s.waiting = framed(s.waiting, message)
	s.flush()
	return c.send()
}

// cancel ends a stream; its sink hears nothing more.
func (s *stream) cancel() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[s.id] != s || c.lost != nil {
		return
	}
	delete(c.streams, s.id)
	c.out = withUint32Frame(c.out[:0], frameReset, s.id, errorCancel)
	_ = c.send()
}

// flush adds to what is sent as much as the windows have room for. The connection is locked.
func (s *stream) flush() {
	c := s.conn
	for !s.isShut {
		size := min(int64(len(s.waiting)), s.window, c.window, maxFrame)
		ends := s.isLast && size == int64(len(s.waiting))
		if size <= 0 && !ends {
			return
		}
		var flags byte
		if ends {
			flags, s.isShut = flagEndStream, true
		}
		c.out = withFrame(c.out, frameData, flags, s.id, s.waiting[:size])
		s.window -= size
		c.window -= size
		s.waiting = s.waiting[size:]
		if len(s.waiting) == 0 {
			s.waiting = nil
		}
	}
}

func (c *conn) send() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.socket.Write(c.out)
	return err
}

// read handles frames until the connection breaks, and then ends its streams.
func (c *conn) read() {
	from := bufio.NewReaderSize(c.socket, readBuffer)
	var buffer []byte
	var err error
	granted := 0
	for err == nil {
		var got frame
		if got, buffer, err = readFrame(from, buffer); err != nil {
			break
		}
		granted += len(got.payload)
		err = c.handle(got)
		if granted > grantedAfter {
			c.answer(withUint32Frame(nil, frameWindowUpdate, 0, uint32(granted)))
			granted = 0
		}
	}
	c.mu.Lock()
	c.lost = fmt.Errorf("the connection is lost: %w", err)
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	_ = c.socket.Close()
	for _, s := range streams {
		s.sink.ended("the connection is lost")
	}
}

func (c *conn) handle(got frame) error {
	switch got.kind {
	case frameData:
		if s := c.stream(got.stream); s != nil {
			if err := s.receive(got.payload); err != nil {
				return err
			}
		}
		if got.flags&flagEndStream != 0 {
			c.end(got.stream, "the stream has ended")
		}
	case frameHeaders:
		if got.flags&flagEndStream != 0 {
			c.end(got.stream, fmt.Sprintf("trailers %q", got.payload))
		}
	case frameReset:
		c.end(got.stream, fmt.Sprintf("reset with %d", binary.BigEndian.Uint32(got.payload)))
	case frameSettings:
		if got.flags&flagAck == 0 {
			c.settle(got.payload)
		}
	case framePing:
		if got.flags&flagAck == 0 {
			c.answer(withFrame(nil, framePing, flagAck, 0, got.payload))
		}
	case frameWindowUpdate:
		c.widen(got.stream, int64(binary.BigEndian.Uint32(got.payload)))
	case frameGoAway:
		return errors.New("the server closes it")
	}
	return nil
}

func (c *conn) stream(id uint32) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

func (c *conn) end(id uint32, reason string) {
	c.mu.Lock()
	s := c.streams[id]
	delete(c.streams, id)
	c.mu.Unlock()
	if s != nil {
		s.sink.ended(reason)
	}
}

func (c *conn) answer(frames []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out[:0], frames...)
	_ = c.send() // if it fails, reading fails too
}

func (c *conn) settle(settings []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(settings) >= 6; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == settingInitialWindow {
			initial := int64(binary.BigEndian.Uint32(settings[2:]))
			for _, s := range c.streams {
				s.window += initial - c.initial
			}
			c.initial = initial
		}
	}
	c.out = withFrame(c.out[:0], frameSettings, flagAck, 0, nil)
	_ = c.send()
	select {
	case <-c.settled:
	default:
		close(c.settled)
	}
}

func (c *conn) widen(id uint32, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = c.out[:0]
	if id != 0 {
		if s := c.streams[id]; s != nil {
			s.window += size
			s.flush()
		}
	} else {
		c.window += size
		for _, s := range c.streams {
			if len(s.waiting) > 0 {
				s.flush()
			}
		}
	}
	_ = c.send()
}

// receive hands the whole messages among what has come to the sink.
func (s *stream) receive(data []byte) error {
	if len(s.partial) > 0 {
		data = append(s.partial, data...)
	}
	for len(data) >= prefixBytes {
		if data[0] != 0 {
			return errors.New("a compressed message")
		}
		end := prefixBytes + int(binary.BigEndian.Uint32(data[1:]))
		if len(data) < end {
			break
		}
		s.sink.message(data[prefixBytes:end])
		data = data[end:]
	}
	s.partial = append(s.partial[:0:0], data...)
	return nil
}
