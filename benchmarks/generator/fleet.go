package main

import (
	"errors"
	"sync"
	"time"
)

// sampledEvery is the time between two looks at the age of all copies.
const sampledEvery = 100 * time.Millisecond

// fleet are the watchers of many processes.
type fleet struct {
	mu          sync.Mutex // of everything here, and of all watchers
	keys        [][]byte   // serialized
	links       []*link
	watchers    []*watcher
	counts      counts
	endings     map[string]int
	isRecording bool
}

// counts are what has happened since the last `window`.
type counts struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
	Pings    int64 `json:"pings"`  // sent
	Events   int64 `json:"events"` // values and invalidations
	Resets   int64 `json:"resets"`
	Ended    int64 `json:"ended"`  // streams, whatever the reason
	Silent   int64 `json:"silent"` // those among them that the client ended
	Samples  int64 `json:"samples"`
	Unusable int64 `json:"unusable"` // samples of copies that no call could use
	// MaxAge is the greatest age in seconds of a copy that a call could use.
	MaxAge float64 `json:"max_age"`
}

func newFleet() *fleet {
	f := &fleet{endings: map[string]int{}}
	go f.sample()
	return f
}

// sample looks at the age of all copies, for as long as the process runs.
func (f *fleet) sample() {
	for range time.Tick(sampledEvery) {
		f.mu.Lock()
		now := time.Now()
		for _, w := range f.watchers {
			f.counts.Samples++
			if w.isCurrent(now) {
				f.counts.MaxAge = max(f.counts.MaxAge, now.Sub(w.signs.asOf).Seconds())
			} else {
				f.counts.Unusable++
			}
		}
		f.mu.Unlock()
	}
}

// opening says which streams there should be.
type opening struct {
	Addresses   []string `json:"addresses"` // the first that answers is connected
	Keys        [][]byte `json:"keys"`      // serialized ContextKeys, watched in turn
	Streams     int      `json:"streams"`
	Connections int      `json:"connections"`
	Pace        int      `json:"pace"` // streams a second
}

// grow opens the streams that are missing, in the background.
func (f *fleet) grow(given opening) error {
	if given.Connections < 1 || given.Pace < 1 || len(given.Keys) < 1 {
		return errors.New("needs a connection, a pace and a key")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = given.Keys
	for len(f.links) < given.Connections {
		f.links = append(f.links, &link{addresses: given.Addresses})
	}
	begun := len(f.watchers)
	for i := begun; i < given.Streams; i++ {
		link := f.links[i%given.Connections]
		w := &watcher{
			fleet: f, link: link, key: i % len(f.keys), pause: firstPause, patience: firstPatience,
		}
		f.watchers = append(f.watchers, w)
	}
	go begin(f.watchers[begun:], given.Pace)
	return nil
}

// begin begins so many watchers a second.
func begin(watchers []*watcher, pace int) {
	begun, every := time.Now(), time.Second/time.Duration(pace)
	for i, w := range watchers {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * every)))
		w.begin()
	}
}

// churn cuts the connections of watchers, so many a second for a time. All come back by themselves.
func (f *fleet) churn(rate, lasting float64) {
	begun := time.Now()
	for i := range int(rate * lasting) {
		time.Sleep(time.Until(begun.Add(seconds(float64(i) / rate))))
		f.mu.Lock()
		if len(f.watchers) > 0 {
			w := f.watchers[scattered(i, len(f.watchers))]
			if w.stream != nil {
				_ = w.stream.conn.socket.Close()
			}
		}
		f.mu.Unlock()
	}
}

// state is what the fleet is like now.
type state struct {
	Streams int            `json:"streams"`
	Open    int            `json:"open"`
	Current int            `json:"current"` // whose copy a call may use
	Endings map[string]int `json:"endings"`
}

func (f *fleet) state() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	result := state{Streams: len(f.watchers), Endings: map[string]int{}}
	for _, w := range f.watchers {
		if w.stream != nil {
			result.Open++
		}
		if w.isCurrent(now) {
			result.Current++
		}
	}
	for reason, times := range f.endings {
		result.Endings[reason] = times
	}
	return result
}

// window returns the counts since the last call, and begins to count anew.
func (f *fleet) window() counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	result := f.counts
	f.counts = counts{}
	f.endings = map[string]int{}
	return result
}

// record begins to keep the versions that come.
func (f *fleet) record() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isRecording = true
	for _, w := range f.watchers {
		w.seen = nil
	}
}

// untold is the number of watchers that have not come to these versions of their keys.
func (f *fleet) untold(versions map[int]int64) (number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.watchers {
		if w.version < versions[w.key] {
			number++
		}
	}
	return number
}
