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

// Version is the version of the generic document. Fields are only ever
// added under one version.
const Version = 1

// document is the body of a generic request: the event's own fields, the
// document's version and the message made for people.
type document struct {
	Version int `json:"version"`
	notify.Notification
	Message documentMessage `json:"message"`
}

// documentMessage is what people read.
type documentMessage struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// SignatureHeader carries "t=SECONDS,v1=HEX": HEX is the HMAC-SHA256, keyed
// with the shared secret, of SECONDS, a dot and the body. SECONDS is the Unix
// time of the attempt; a receiver refuses old ones to stop replays.
const SignatureHeader = "X-Hacheck-Signature"

func genericPosts(t told) ([]post, error) {
	if t.notification.VIPs == nil {
		t.notification.VIPs = []notify.VIP{} // a list, as documented, never null
	}
	body, err := encode(document{
		Version:      Version,
		Notification: t.notification,
		Message:      documentMessage{Subject: t.message.Subject, Text: t.message.Text},
	})
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
