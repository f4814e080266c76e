package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	pb "relevo.io/gen/relevo/v1"
)

var errInvalidKey = errors.New("not a key")

const (
	unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	hexDigits  = "0123456789ABCDEF"
)

// keyText is the one text form of a key.
func keyText(key *pb.ContextKey) (string, error) {
	parts := []string{key.GetScope(), key.GetTenantId(), key.GetId()}
	for i, part := range parts {
		if err := checkPart(part); err != nil {
			return "", err
		}
		parts[i] = encoded(part)
	}
	return strings.Join(parts, ":"), nil
}

// parseKey is the key that a text form names.
func parseKey(text string) (*pb.ContextKey, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return nil, errInvalidKey
	}
	for i, part := range parts {
		part, err := decoded(part)
		if err == nil {
			err = checkPart(part)
		}
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	return &pb.ContextKey{Scope: parts[0], TenantId: parts[1], Id: parts[2]}, nil
}

func checkPart(part string) error {
	if part == "" || len(part) > 256 || !utf8.ValidString(part) {
		return errInvalidKey
	}
	if strings.ContainsFunc(part, unicode.IsControl) {
		return errInvalidKey
	}
	return nil
}

func encoded(part string) string {
	var text strings.Builder
	for _, each := range []byte(part) {
		if strings.IndexByte(unreserved, each) >= 0 {
			text.WriteByte(each)
		} else {
			fmt.Fprintf(&text, "%%%02X", each)
		}
	}
	return text.String()
}

func decoded(text string) (string, error) {
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			part.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", errInvalidKey
		}
		high := strings.IndexByte(hexDigits, upper(text[i+1]))
		low := strings.IndexByte(hexDigits, upper(text[i+2]))
		if high < 0 || low < 0 {
			return "", errInvalidKey
		}
		part.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return part.String(), nil
}

func upper(digit byte) byte {
	if digit >= 'a' && digit <= 'f' {
		return digit - 'a' + 'A'
	}
	return digit
}

type vector struct {
	Text, Why, Scope, Id string
	TenantId             string `json:"tenant_id"`
}

func (v vector) key() *pb.ContextKey {
	return &pb.ContextKey{Scope: v.Scope, TenantId: v.TenantId, Id: v.Id}
}

type vectors struct {
	Canonical, Malformed []vector
	AlsoRead             []vector `json:"also_read"`
}

func vectorsOf(s *scene) vectors {
	return read[vectors](s.addresses, filepath.Join("..", "contract", "key_vectors.json"))
}

var keyChecks = checks{
	"keys.canonical": func(s *scene) {
		for _, each := range vectorsOf(s).Canonical {
			equal(got(keyText(each.key())), each.Text)
			equal(got(parseKey(each.Text)), each.key())
		}
	},

	"keys.also_read": func(s *scene) {
		for _, each := range vectorsOf(s).AlsoRead {
			key := got(parseKey(each.Text))
			holds(proto.Equal(key, each.key()), "%v, not %v", key, each)
		}
	},

	"keys.malformed": func(s *scene) {
		for _, each := range vectorsOf(s).Malformed {
			_, err := parseKey(each.Text)
			holds(errors.Is(err, errInvalidKey), "%q was read (%s)", each.Text, each.Why)
		}
	},
}
