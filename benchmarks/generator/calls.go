package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	callTimeout = "5S" // as every client of the store sets one
	maxInFlight = 1000 // of writes at a rate: beyond it they are late
	pollEvery   = 5 * time.Millisecond
)

// method is a unary method of a server.
type method struct {
	Address string `json:"address"`
	Path    string `json:"path"`
	// UniqueField is the number of a text field that gets another value in each request, 0 for none.
	UniqueField int `json:"unique_field"`
}

// request is a request of the method, with a value of its own in the unique field.
func (m method) request(template []byte) []byte {
	if m.UniqueField == 0 {
		return template
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	// Concatenated serialized messages parse as one merged message.
	copied := append(make([]byte, 0, len(template)+40), template...)
	return withBytes(copied, m.UniqueField, []byte(hex.EncodeToString(id[:])))
}

// answer is the sink of a unary call.
type answer struct {
	response []byte
	has      bool
	done     chan error
}

func (a *answer) message(data []byte) {
	a.response, a.has = append([]byte(nil), data...), true
}

func (a *answer) ended(reason string) {
	if a.has {
		a.done <- nil
	} else { // an error has a status, and no message
		a.done <- errors.New(reason)
	}
}

// invoke makes one call, and returns its response.
func (c *conn) invoke(headers, request []byte) ([]byte, error) {
	waiting := &answer{done: make(chan error, 1)}
	if _, err := c.open(headers, waiting, true, request); err != nil {
		return nil, err
	}
	err := <-waiting.done
	return waiting.response, err
}

// load are calls that are kept in flight.
type load struct {
	method
	Requests    [][]byte `json:"requests"` // in turn
	InFlight    int      `json:"in_flight"`
	Connections int      `json:"connections"`
	Seconds     float64  `json:"seconds"`
	// Tries is how often a call that fails is made, on a new connection if its own is lost.
	Tries int `json:"tries"`
}

// loaded is what became of the calls. Latencies are in milliseconds.
type loaded struct {
	Calls   int     `json:"calls"`
	Retried int     `json:"retried"` // calls that failed before they succeeded
	Failed  int     `json:"failed"`
	Problem string  `json:"problem"` // of the last try that failed
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
}

// run keeps calls in flight, and returns what became of them.
func (l load) run() (loaded, error) {
	links := make([]*link, max(1, l.Connections))
	for i := range links {
		links[i] = &link{addresses: []string{l.Address}}
		if _, err := links[i].connected(); err != nil {
			return loaded{}, err
		}
	}
	headers := headersOf(l.Address, l.Path, callTimeout)
	var mu sync.Mutex
	var result loaded
	var latencies []float64
	var next atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	end := begun.Add(seconds(l.Seconds))
	for i := range l.InFlight {
		all.Add(1)
		go func() {
			defer all.Done()
			own := make([]float64, 0, 1<<12)
			for time.Now().Before(end) {
				template := l.Requests[int(next.Add(1))%len(l.Requests)]
				request := l.request(template) // each try is the same request
				start := time.Now()
				tries, err := l.try(links[i%len(links)], headers, request)
				own = append(own, milliseconds(time.Since(start)))
				if tries > 1 || err != nil {
					mu.Lock()
					if err != nil {
						result.Failed++
						result.Problem = err.Error()
					} else {
						result.Retried++
					}
					mu.Unlock()
				}
			}
			mu.Lock()
			latencies = append(latencies, own...)
			mu.Unlock()
		}()
	}
	all.Wait()
	result.Seconds = time.Since(begun).Seconds()
	for _, each := range links {
		_ = each.conn.socket.Close()
	}
	result.Calls = len(latencies)
	result.P50, result.P99 = quantile(latencies, 0.50), quantile(latencies, 0.99)
	result.Max = quantile(latencies, 1)
	return result, nil
}

// try makes a call up to `Tries` times, and returns how often it did.
func (l load) try(to *link, headers, request []byte) (tries int, err error) {
	for tries = 1; ; tries++ {
		var conn *conn
		if conn, err = to.connected(); err == nil {
			_, err = conn.invoke(headers, request)
		}
		if err == nil || tries >= l.Tries {
			return tries, err
		}
		time.Sleep(firstPause)
	}
}

// paced are writes at a rate, whatever their answers take.
type paced struct {
	method
	Requests [][]byte `json:"requests"` // the one of each of the fleet's keys
	Rate     float64  `json:"rate"`     // a second
	Seconds  float64  `json:"seconds"`
}

// written is what became of them. Latencies are in milliseconds.
type written struct {
	Told   told    `json:"told"`
	Rate   float64 `json:"rate"` // acknowledged writes a second
	Late   int     `json:"late"` // writes that had to wait for others, as too many were in flight
	Failed int     `json:"failed"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
}

// run writes keys in turn, in an order that scatters them, and waits until they are told.
func (p paced) run(f *fleet) (written, error) {
	conn, err := dial(p.Address)
	if err != nil {
		return written{}, err
	}
	headers := headersOf(p.Address, p.Path, callTimeout)
	var mu sync.Mutex
	var result written
	var writes []write
	var latencies []float64
	var all sync.WaitGroup
	room := make(chan struct{}, maxInFlight)
	total := int(p.Rate * p.Seconds)
	f.record()
	begun := time.Now()
	for i := range total {
		time.Sleep(time.Until(begun.Add(seconds(float64(i) / p.Rate))))
		select {
		case room <- struct{}{}:
		default:
			mu.Lock()
			result.Late++
			mu.Unlock()
			room <- struct{}{}
		}
		key := scattered(i, len(p.Requests))
		all.Add(1)
		go func() {
			defer all.Done()
			sent := time.Now()
			response, err := conn.invoke(headers, p.request(p.Requests[key]))
			taken := milliseconds(time.Since(sent))
			revision, malformed := revisionOf(response)
			<-room
			mu.Lock()
			defer mu.Unlock()
			if err = first(err, malformed); err != nil {
				result.Failed++
				return
			}
			latencies = append(latencies, taken)
			writes = append(writes, write{key, revision, sent})
		}()
	}
	all.Wait()
	result.Rate = float64(len(writes)) / time.Since(begun).Seconds()
	newest := map[int]int64{}
	for _, each := range writes {
		newest[each.key] = max(newest[each.key], each.revision)
	}
	f.awaitTold(newest, 5*time.Second)
	_ = conn.socket.Close()
	result.Told = f.delays(writes)
	result.P50, result.P99 = quantile(latencies, 0.50), quantile(latencies, 0.99)
	return result, nil
}

// pushed are writes of one key, one after another.
type pushed struct {
	method
	Request  []byte  `json:"request"`
	Key      int     `json:"key"` // its place among the fleet's keys; -1 if nobody watches it
	Writes   int     `json:"writes"`
	Interval float64 `json:"interval"` // seconds from one to the next, if all are told by then
	Within   float64 `json:"within"`   // seconds that are waited until all are told
}

// run writes the key, and waits each time until all of its watchers are told.
func (p pushed) run(f *fleet) (told, error) {
	conn, err := dial(p.Address)
	if err != nil {
		return told{}, err
	}
	headers := headersOf(p.Address, p.Path, callTimeout)
	f.record()
	var writes []write
	for range p.Writes {
		sent := time.Now()
		response, err := conn.invoke(headers, p.request(p.Request))
		if err != nil {
			return told{}, fmt.Errorf("a Put failed: %w", err)
		}
		revision, err := revisionOf(response)
		if err != nil {
			return told{}, err
		}
		writes = append(writes, write{p.Key, revision, sent})
		f.awaitTold(map[int]int64{p.Key: revision}, seconds(p.Within))
		time.Sleep(time.Until(sent.Add(seconds(p.Interval))))
	}
	_ = conn.socket.Close()
	return f.delays(writes), nil
}

// awaitTold waits until all watchers have come to these versions of keys, or a time has passed.
func (f *fleet) awaitTold(versions map[int]int64, within time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(pollEvery) {
		if f.untold(versions) == 0 {
			return
		}
	}
}

// scattered is the place of the i-th of `size` keys, in an order in which neighbours are far apart.
// `size` keys in a row are all keys.
func scattered(i, size int) int {
	step := int(0.618*float64(size)) | 1
	for gcd(step, size) != 1 {
		step += 2
	}
	return i % size * step % size
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}
