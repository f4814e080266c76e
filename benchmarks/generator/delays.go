package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// write is an acknowledged Put of one of the fleet's keys.
type write struct {
	key      int
	revision int64
	sent     time.Time
}

// told is how long the watchers took to hear of writes, in milliseconds from the sending of each.
type told struct {
	Writes   int     `json:"writes"`
	Told     int     `json:"told"`   // pairs of a write and a watcher that heard of it
	Untold   int     `json:"untold"` // pairs of a write and a watcher that did not
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	Last     float64 `json:"last"`  // the median of the writes' last watchers
	Worst    float64 `json:"worst"` // the last watcher of all writes
	Watchers int     `json:"watchers"`
}

// delays joins writes and what was seen: a watcher has heard of a write if it has come to its
// version or a later one, as changes that follow each other may be told as one.
func (f *fleet) delays(writes []write) told {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isRecording = false
	byKey := map[int][]*watcher{}
	for _, w := range f.watchers {
		byKey[w.key] = append(byKey[w.key], w)
	}
	result := told{Writes: len(writes)}
	var each, last []float64
	for _, write := range writes {
		result.Watchers = max(result.Watchers, len(byKey[write.key]))
		latest := 0.0
		for _, w := range byKey[write.key] {
			i, _ := slices.BinarySearchFunc(w.seen, write.revision, func(s seen, revision int64) int {
				return cmp.Compare(s.version, revision)
			})
			if i == len(w.seen) {
				result.Untold++
				continue
			}
			delay := milliseconds(w.seen[i].at.Sub(write.sent))
			each = append(each, delay)
			latest = max(latest, delay)
		}
		last = append(last, latest)
	}
	result.Told = len(each)
	result.P50, result.P99 = quantile(each, 0.50), quantile(each, 0.99)
	result.Last, result.Worst = quantile(last, 0.50), quantile(last, 1)
	return result
}

// quantile is the smallest value that is not below this share of all values, 0 of none. Sorts them.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max(0, int(math.Ceil(share*float64(len(values))))-1)]
}

func milliseconds(duration time.Duration) float64 {
	return float64(duration) / float64(time.Millisecond)
}
