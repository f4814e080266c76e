package main

import (
	"math/rand/v2"
	"os"
	"time"
)

// The pace of a client's near cache, as client/relevo_client/_near_cache has it.
const (
	maxStaleness   = 2 * time.Second
	pingInterval   = maxStaleness / 8
	reportInterval = 10 * time.Second
	firstPause     = 50 * time.Millisecond
	longestPause   = time.Second
	lasting        = 5 * time.Second
	firstPatience  = 3 * maxStaleness
	mostPatience   = 30 * time.Second
)

const watchPath = "/relevo.v1.ContextStore/Watch"

// watcher is the near cache of one process: a Watch stream with one key. What it has is guarded by
// the fleet's mutex.
type watcher struct {
	fleet *fleet
	link  *link
	key   int // its place among the fleet's keys

	attempt    int // how often the stream was opened
	stream     *stream
	timer      *time.Timer
	pause      time.Duration // before the stream is opened again
	patience   time.Duration // with which its first answer is waited for
	opened     time.Time
	reported   time.Time
	number     int64 // of the last request
	subscribed int64 // the number of the Subscribe that has to be answered
	answered   int64 // the newest request that was answered
	signs      signs

	isAnswered bool
	version    int64
	position   int64
	seen       []seen
}

// seen is a version of the key, and when it came.
type seen struct {
	version int64
	at      time.Time
}

// isCurrent says whether a call may use the copy.
func (w *watcher) isCurrent(now time.Time) bool {
	return w.isAnswered && now.Sub(w.signs.asOf) < maxStaleness
}

// begin opens the stream: at once, or when the link is connected.
func (w *watcher) begin() {
	f := w.fleet
	f.mu.Lock()
	w.attempt++
	attempt, now := w.attempt, time.Now()
	w.opened, w.reported, w.isAnswered, w.answered = now, now, false, w.number
	w.signs = newSigns(now, jittered(w.patience, 0.25))
	w.number++
	ping := reported(introduced(w.signs.ping(w.number, now), int64(os.Getpid())))
	w.number++
	w.subscribed = w.number
	subscribe := subscribeTo(f.keys[w.key], w.version, w.position, w.number)
	w.timer = time.AfterFunc(pingInterval, func() { w.tick(attempt) })
	f.mu.Unlock()
	go w.open(attempt, ping, subscribe)
}

func (w *watcher) open(attempt int, requests ...[]byte) {
	conn, err := w.link.connected()
	if err != nil {
		w.lose(attempt, "not connected")
		return
	}
	f := w.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.attempt != attempt || w.timer == nil {
		return // it was silent for too long meanwhile
	}
	headers := headersOf(conn.socket.RemoteAddr().String(), watchPath, "")
	stream, err := conn.open(headers, attemptOf{w, attempt}, false, requests...)
	if err != nil {
		go w.lose(attempt, "not opened")
		return
	}
	w.stream = stream
}

// tick does what is due every `pingInterval`.
func (w *watcher) tick(attempt int) {
	f := w.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.attempt != attempt || w.timer == nil {
		return
	}
	now := time.Now()
	if w.signs.areMissing(now) {
		f.counts.Silent++
		go w.lose(attempt, "silent")
		return
	}
	if w.stream != nil && w.signs.isPingDue(now, !w.isAnswered) {
		w.number++
		request := w.signs.ping(w.number, now)
		if now.Sub(w.reported) >= reportInterval {
			request, w.reported = reported(request), now
		}
		f.counts.Pings++
		_ = w.stream.send(request) // a lost connection ends the stream
	}
	w.timer.Reset(pingInterval)
}

// lose ends an attempt, and begins another one after a pause with jitter.
func (w *watcher) lose(attempt int, reason string) {
	f := w.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.attempt != attempt || w.timer == nil {
		return
	}
	w.timer.Stop()
	w.timer = nil
	if w.stream != nil {
		w.stream.cancel()
		w.stream = nil
	}
	w.isAnswered = false
	f.counts.Ended++
	f.endings[reason]++
	pause, lasted := w.pause, time.Since(w.opened)
	if w.signs.isAnswered {
		w.patience = firstPatience
	} else if lasted > w.signs.patience {
		w.patience = min(2*w.patience, mostPatience)
	}
	if w.signs.isAnswered && lasted > lasting {
		pause = firstPause
	}
	w.pause = min(2*pause, longestPause)
	time.AfterFunc(jittered(pause, 0.5), w.begin)
}

// jittered is a time that differs by up to a part of it.
func jittered(about time.Duration, part float64) time.Duration {
	return time.Duration(float64(about) * (1 - part + 2*part*rand.Float64()))
}

// attemptOf is the sink of one attempt's stream.
type attemptOf struct {
	*watcher
	number int
}

func (a attemptOf) ended(reason string) { a.lose(a.number, reason) }

func (a attemptOf) message(data []byte) {
	now := time.Now()
	f := a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.attempt != a.number || a.timer == nil {
		return
	}
	f.counts.Messages++
	f.counts.Bytes += int64(len(data))
	if readEvents(data, func(one event) { a.apply(one, now) }) != nil {
		go a.lose(a.number, "malformed")
	}
}

// apply takes over what an event says, by the rules of the near cache's machine.
func (w *watcher) apply(one event, now time.Time) {
	f := w.fleet
	if newest := max(one.answers, one.ping); newest > w.answered {
		w.answered = newest
		w.signs.hear()
	}
	w.signs.received(one, now)
	if one.isReset {
		f.counts.Resets++
		w.isAnswered, w.position = false, 0
		w.number++
		w.subscribed = w.number
		if w.stream != nil {
			_ = w.stream.send(subscribeTo(f.keys[w.key], 0, 0, w.number))
		}
	}
	if one.answers == w.subscribed && one.answers != 0 {
		w.isAnswered = true
	}
	if one.version != 0 && (one.answers != 0 || w.isAnswered) {
		f.counts.Events++
		w.version = max(w.version, one.version)
		if f.isRecording {
			w.seen = append(w.seen, seen{one.version, now})
		}
	}
	w.position = max(w.position, one.position)
}
