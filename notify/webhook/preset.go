package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"hacheck/notify"
)

// preset is all in which one kind of receiver differs from another.
type preset struct {
	// payload writes the body.
	payload func(notification notify.Notification, message notify.Message) ([]byte, error)
	// sign adds what proves the sender, with a key that is not empty. It is
	// called anew at each attempt, as signatures age.
	sign func(request *http.Request, body []byte, key string, now time.Time)
	// answered looks into the body of an answer with a 2xx status, for
	// receivers that report failures there; nil for those that do not.
	answered func(body []byte) error
}

// generic is the receiver that takes hacheck's own document.
func generic() preset {
	return preset{payload: genericPayload, sign: genericSign}
}

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

func genericPayload(notification notify.Notification, message notify.Message) ([]byte, error) {
	if notification.VIPs == nil {
		notification.VIPs = []notify.VIP{} // a list, as documented, never null
	}
	return json.Marshal(document{
		Version:      Version,
		Notification: notification,
		Message:      documentMessage{Subject: message.Subject, Text: message.Text},
	})
}

// SignatureHeader carries "t=SECONDS,v1=HEX": HEX is the HMAC-SHA256, keyed
// with the shared secret, of SECONDS, a dot and the body. SECONDS is the Unix
// time of the attempt; a receiver refuses old ones to stop replays.
const SignatureHeader = "X-Hacheck-Signature"

func genericSign(request *http.Request, body []byte, key string, now time.Time) {
	seconds := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s", seconds, body)
	request.Header.Set(SignatureHeader, "t="+seconds+",v1="+hex.EncodeToString(mac.Sum(nil)))
}
