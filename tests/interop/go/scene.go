package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"
	pb "relevo.io/gen/relevo/v1"
)

const (
	service = "/relevo.test.Service/"
	timeout = 30 * time.Second
)

// A scene is what a check talks to: the stores and the Python services, by name.
type scene struct {
	ctx       context.Context
	addresses map[string]string
	values    map[string]any // of every kind
	tenant    string         // whose entries nobody else has
	conns     map[string]*grpc.ClientConn
	cancel    context.CancelFunc
}

func newScene(addresses map[string]string, values map[string]any, check string) *scene {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	tenant := fmt.Sprintf("%s %s: größe & 100%%", addresses["tenant"], check)
	return &scene{ctx, addresses, values, tenant, map[string]*grpc.ClientConn{}, cancel}
}

func (s *scene) close() {
	s.cancel()
	for _, conn := range s.conns {
		must(conn.Close())
	}
}

func (s *scene) conn(name string) *grpc.ClientConn {
	conn, isThere := s.conns[name]
	if !isThere {
		credentials := grpc.WithTransportCredentials(insecure.NewCredentials())
		conn = got(grpc.NewClient(s.addresses[name], credentials))
		s.conns[name] = conn
	}
	return conn
}

func (s *scene) storeOf(name string) pb.ContextStoreClient {
	return pb.NewContextStoreClient(s.conn(name))
}

func (s *scene) store() pb.ContextStoreClient {
	return s.storeOf("store")
}

func (s *scene) key(id string) *pb.ContextKey {
	return s.keyIn("conversation", id)
}

func (s *scene) keyIn(scope, id string) *pb.ContextKey {
	return &pb.ContextKey{Scope: scope, TenantId: s.tenant, Id: id}
}

func (s *scene) get(request *pb.GetRequest) *pb.GetResponse {
	return got(s.store().Get(s.ctx, request))
}

// missing sees that there is no entry.
func (s *scene) missing(key *pb.ContextKey) failure {
	_, err := s.store().Get(s.ctx, &pb.GetRequest{Key: key})
	return fails(err, 5, "NO_ENTRY")
}

func (s *scene) put(key *pb.ContextKey, context *pb.ExecutionContext) *pb.PutResponse {
	return got(s.store().Put(s.ctx, &pb.PutRequest{Key: key, Context: context}))
}

// python asks a Python service: what its answer says.
func python[T any](s *scene, ctx context.Context, kind, method string, request any) (T, error) {
	var answer []byte
	asked := got(json.Marshal(request))
	err := s.conn(kind).Invoke(ctx, service+method, asked, &answer, grpc.ForceCodec(raw{}))
	if err != nil {
		return *new(T), err
	}
	return parsed[T](answer), nil
}

// pythonPut lets Python put a context: the revision.
func (s *scene) pythonPut(key *pb.ContextKey, context map[string]any) int64 {
	request := map[string]any{
		"key": map[string]string{
			"scope": key.GetScope(), "tenant_id": key.GetTenantId(), "id": key.GetId(),
		},
		"context": context,
	}
	answer := got(python[struct {
		Revision int64 `json:",string"`
	}](s, s.ctx, "asyncio", "Put", request))
	return answer.Revision
}

// bearer is a context with the token that opens the guarded store.
func (s *scene) bearer() context.Context {
	return metadata.AppendToOutgoingContext(s.ctx, "authorization", "Bearer "+s.addresses["token"])
}

// section is a Struct of plain values.
func section(values map[string]any) *structpb.Struct {
	return got(structpb.NewStruct(values))
}

// raw takes bytes for messages, which are neither encoded nor decoded.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) {
	return message.([]byte), nil
}

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte{}, data...)
	return nil
}

func (raw) Name() string {
	return "proto"
}
