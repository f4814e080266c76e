package main

import (
	"context"

	pb "relevo.io/gen/relevo/v1"
)

// watching is a Watch stream, read event by event.
type watching struct {
	stream    pb.ContextStore_WatchClient
	revisions map[int32]int64 // by partition
	pings     map[int32]int64
}

func watch(ctx context.Context, store pb.ContextStoreClient) *watching {
	stream := got(store.Watch(ctx))
	return &watching{stream, map[int32]int64{}, map[int32]int64{}}
}

// subscribed is a Watch that is subscribed to a key, and the answer.
func (s *scene) subscribed(subscribe *pb.Subscribe) (*watching, *pb.WatchResponse) {
	watching := watch(s.ctx, s.store())
	subscribe.Number = 1
	watching.subscribe(subscribe)
	answer := watching.next()
	equal(answer.GetAnswers(), int64(1))
	return watching, answer
}

func (w *watching) subscribe(subscribe *pb.Subscribe) {
	must(w.stream.Send(&pb.WatchRequest{Request: &pb.WatchRequest_Subscribe{Subscribe: subscribe}}))
}

func (w *watching) ping(number int64) {
	ping := &pb.Ping{Number: number}
	must(w.stream.Send(&pb.WatchRequest{Request: &pb.WatchRequest_Ping{Ping: ping}}))
}

// message is the next message, or how the stream ends.
func (w *watching) message() (*pb.WatchResponse, error) {
	message, err := w.stream.Recv()
	if err != nil {
		return nil, err
	}
	for _, each := range append(message.GetPositions(), message.GetProgress().GetPositions()...) {
		w.revisions[each.GetPartition()] = each.GetRevision()
		w.pings[each.GetPartition()] = each.GetPing()
	}
	return message, nil
}

// next is the next message that is more than progress.
func (w *watching) next() *pb.WatchResponse {
	for {
		message := got(w.message())
		if message.GetProgress() == nil {
			return message
		}
	}
}

// until reads until a condition holds: how many messages were more than progress.
func (w *watching) until(condition func() bool) (events int) {
	for !condition() {
		if got(w.message()).GetProgress() == nil {
			events++
		}
	}
	return events
}

// pinged says whether a Ping is answered.
func (w *watching) pinged(number int64) func() bool {
	return func() bool {
		for _, ping := range w.pings {
			if ping == number {
				return true
			}
		}
		return false
	}
}

// ends reads until the stream ends: how it does.
func (w *watching) ends() error {
	for {
		if _, err := w.message(); err != nil {
			return err
		}
	}
}
