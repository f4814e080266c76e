package main

import (
	"sync"
	"time"
)

// reconnectAfter is the longest pause before a link that found no server dials again.
const reconnectAfter = time.Second

// link is a channel of gRPC's: one connection to the first of its addresses that answers, made
// anew if it is lost.
type link struct {
	addresses []string
	mu        sync.Mutex // held while it dials, so that all who need a connection share one
	conn      *conn
	refused   time.Time // when no address answered
}

// connected is the connection, which is dialed if there is none.
func (l *link) connected() (*conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && l.conn.isLost() == nil {
		return l.conn, nil
	}
	if pause := reconnectAfter - time.Since(l.refused); pause > 0 {
		time.Sleep(pause)
	}
	var failed error
	for _, address := range l.addresses {
		conn, err := dial(address)
		if err == nil {
			l.conn = conn
			return conn, nil
		}
		failed = err
	}
	l.refused = time.Now()
	return nil, failed
}
