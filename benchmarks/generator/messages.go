package main

import "time"

// The messages of relevo.v1.ContextStore.Watch, with the numbers of their fields.

// subscribeTo is a WatchRequest that subscribes to a key, which is a serialized ContextKey.
func subscribeTo(key []byte, version, position, number int64) []byte {
	subscribe := withBytes(nil, 1, key)
	subscribe = withNumber(subscribe, 2, version)
	subscribe = withNumber(subscribe, 3, position)
	subscribe = withNumber(subscribe, 4, number)
	return withBytes(nil, 1, subscribe)
}

// pingOf is a WatchRequest with a Ping, which asks for signs of life from now on.
func pingOf(number int64, interval time.Duration) []byte {
	duration := withNumber(nil, 1, int64(interval/time.Second))
	duration = withNumber(duration, 2, int64(interval%time.Second))
	return withBytes(nil, 4, withBytes(withNumber(nil, 1, number), 2, duration))
}

// introduced is a stream's first request: it also says who watches, and accepts batches.
func introduced(request []byte, process int64) []byte {
	client := withBytes(nil, 1, []byte("generator"))
	client = withNumber(client, 4, process)
	client = withBytes(client, 5, []byte("relevo-bench"))
	request = withBytes(request, 5, client)
	return withNumber(request, 7, 1)
}

// reported is a request with a CacheReport, as a cache with one entry sends it every 10 seconds.
func reported(request []byte) []byte {
	return withBytes(request, 6, withNumber(nil, 1, 1))
}

// event is what one WatchResponse says.
type event struct {
	version   int64 // of an entry or an invalidation, 0 for none
	answers   int64 // the number of a Subscribe
	position  int64 // the highest revision of all positions
	ping      int64 // the newest ping that positions answer
	time      int64 // the latest moment of the server's clock in positions, in microseconds
	clockPing int64 // the ping that the server's clock answers
	clockTime int64 // the moment of its clock then
	isReset   bool
}

// readEvents calls `each` with each event of a WatchResponse, which may be a batch.
func readEvents(message []byte, each func(event)) error {
	var one event
	var failed error
	isBatch := false
	readPosition := func(position []byte) {
		failed = first(failed, scan(position, func(field int, value int64, _ []byte) {
			switch field {
			case 2:
				one.position = max(one.position, value)
			case 3:
				one.ping = max(one.ping, value)
			case 4:
				one.time = max(one.time, value)
			}
		}))
	}
	err := scan(message, func(field int, value int64, data []byte) {
		switch field {
		case 1, 2: // an entry or an invalidation: the field 3 of both is a revision
			failed = first(failed, scan(data, func(field int, value int64, _ []byte) {
				if field == 3 {
					one.version = value
				}
			}))
		case 3: // progress
			failed = first(failed, scan(data, func(field int, _ int64, data []byte) {
				if field == 1 {
					readPosition(data)
				}
			}))
		case 4:
			one.isReset = true
		case 5:
			one.answers = value
		case 6:
			readPosition(data)
		case 9:
			failed = first(failed, scan(data, func(field int, value int64, _ []byte) {
				switch field {
				case 1:
					one.clockPing = value
				case 2:
					one.clockTime = value
				}
			}))
		case 7:
			isBatch = true
			failed = first(failed, scan(data, func(field int, _ int64, data []byte) {
				if field == 1 {
					failed = first(failed, readEvents(data, each))
				}
			}))
		}
	})
	if !isBatch {
		each(one)
	}
	return first(err, failed)
}

// revisionOf is the revision of a PutResponse.
func revisionOf(response []byte) (revision int64, err error) {
	err = scan(response, func(field int, value int64, _ []byte) {
		if field == 2 {
			revision = value
		}
	})
	return revision, err
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
