package main

import (
	"math/rand/v2"
	"time"
)

// signs is how a client knows until when its copies are proven current: what
// client/relevo_client/_near_cache does in Python. A server gives signs of life by itself, each as
// of a moment of its clock, which rare pings map to the client's; older servers answer pings, each
// of which is a sign as of its sending.
type signs struct {
	isGiven  bool // by the server itself
	pings    []sentPing
	pinged   time.Time
	answered int64 // the last ping that has mapped the server's clock
	pace     float64
	heard    time.Time
	hasHeard bool
	patience time.Duration // with which the first answer is waited for
	// isAnswered says whether the stream has had an answer.
	isAnswered bool
	asOf       time.Time // when all that the stream has said was true

	mapped      time.Time // the sending of that ping
	mappedAgain time.Time // when a coarse map may be made again
	mapPause    time.Duration
	moment      int64 // the server's, in microseconds
	uncertainty time.Duration
}

const (
	signInterval = maxStaleness / 2
	renewal      = 30 * time.Second
	drift        = 0.002 // seconds that clocks may drift apart in a second
)

type sentPing struct {
	number int64
	at     time.Time
}

func newSigns(now time.Time, patience time.Duration) signs {
	return signs{
		heard: now, pace: 0.75 + rand.Float64()/2, patience: patience, uncertainty: time.Hour,
	}
}

// ping is a Ping that is sent now.
func (s *signs) ping(number int64, now time.Time) []byte {
	s.pings = append(s.pings, sentPing{number, now})
	for !s.isGiven && now.Sub(s.pings[0].at) >= maxStaleness {
		s.pings = s.pings[1:]
	}
	s.pinged = now
	return pingOf(number, signInterval)
}

// isPingDue says whether a ping is to be sent now, a Subscribe being unanswered or not.
func (s *signs) isPingDue(now time.Time, isWaiting bool) bool {
	if !s.isGiven {
		return s.isAnswered || len(s.pings) == 0
	}
	if len(s.pings) > 0 {
		return false
	}
	ago := now.Sub(s.pinged)
	isOld := ago >= time.Duration(float64(renewal)*s.pace)
	isCoarse := s.isCoarse() && !now.Before(s.mappedAgain)
	return isOld || isCoarse || isWaiting && ago >= maxStaleness/2
}

// isCoarse says whether signs may seem much older than they are, or there is no map.
func (s *signs) isCoarse() bool { return s.uncertainty > pingInterval }

// hear records that something new is proven, or that a request is answered.
func (s *signs) hear() { s.hasHeard, s.isAnswered = true, true }

// areMissing says whether there was no sign for too long. It is called regularly.
func (s *signs) areMissing(now time.Time) bool {
	limit := s.patience
	if s.isAnswered {
		limit = maxStaleness
	}
	if s.hasHeard {
		s.heard, s.hasHeard = now, false
	}
	since := s.heard
	if s.isGiven && len(s.pings) > 0 && s.pings[0].at.Before(since) {
		since = s.pings[0].at
	}
	return now.Sub(since) > limit
}

// received takes over what an event says of the server's clock, and of when all was true.
func (s *signs) received(one event, now time.Time) {
	if one.clockPing != 0 {
		s.isGiven = true
		for len(s.pings) > 0 && s.pings[0].number <= one.clockPing {
			if s.pings[0].number == one.clockPing {
				s.answered, s.moment, s.mapped = one.clockPing, one.clockTime, s.pings[0].at
				s.uncertainty = now.Sub(s.mapped)
				s.mappedAgain = now.Add(s.mapPause)
				s.mapPause = min(max(2*s.mapPause, 2*pingInterval), renewal)
				if !s.isCoarse() {
					s.mapPause = 0
				}
			}
			s.pings = s.pings[1:]
		}
	}
	asOf := time.Time{}
	for !s.isGiven && len(s.pings) > 0 && s.pings[0].number <= one.ping {
		if s.pings[0].number == one.ping {
			asOf = s.pings[0].at
		}
		s.pings = s.pings[1:]
	}
	if one.time != 0 && s.answered != 0 {
		asOf = s.earliest(one.time, now)
	}
	if asOf.After(s.asOf) {
		s.asOf = asOf
		s.hear()
	}
}

// earliest is the time that a moment of the server was not before.
func (s *signs) earliest(moment int64, now time.Time) time.Time {
	later := time.Duration(moment-s.moment) * time.Microsecond
	found := s.mapped.Add(later - time.Duration(drift*float64(later.Abs())))
	if found.After(now) { // the map is wrong: this client was paused
		s.answered, s.uncertainty = 0, time.Hour
		return time.Time{}
	}
	return found
}
