package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"

	"hacheck/notify"
)

// SignatureHeader carries "t=SECONDS,v1=HEX": HEX is the HMAC-SHA256, keyed
// with the shared secret, of SECONDS, a dot and the body. SECONDS is the Unix
// time of the attempt; a receiver refuses old ones to stop replays.
const SignatureHeader = "X-Hacheck-Signature"

func genericPosts(t told) ([]post, error) {
	body, err := notify.Document(t.notification, t.message)
	if err != nil || t.key == "" {
		return []post{{body: body}}, err
	}
	seconds := strconv.FormatInt(t.now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(t.key))
	fmt.Fprintf(mac, "%s.%s", seconds, body)
	signature := hex.EncodeToString(mac.Sum(nil))
	return []post{{
		body:     body,
		header:   http.Header{SignatureHeader: {"t=" + seconds + ",v1=" + signature}},
		fleeting: []string{seconds, signature},
	}}, nil
}
