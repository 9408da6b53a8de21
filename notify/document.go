package notify

import (
	"bytes"
	"encoding/json"
)

// documentVersion is the version of what Document writes. Fields are only ever
// added under one version.
const documentVersion = 1

// document is a notification for programs.
type document struct {
	Version int `json:"version"`
	Notification
	Message documentMessage `json:"message"`
}

// documentMessage is what people read.
type documentMessage struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// Document writes a notification for programs, as one line of JSON: the
// notification's own fields, the document's version and the message made for
// people, its HTML left out. It is the body of the generic webhook and what a
// command gets on its standard input.
func Document(notification Notification, message Message) ([]byte, error) {
	if notification.VIPs == nil {
		notification.VIPs = []VIP{} // a list, as documented, never null
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // it is no part of a page, and people read it
	err := encoder.Encode(document{
		Version:      documentVersion,
		Notification: notification,
		Message:      documentMessage{Subject: message.Subject, Text: message.Text},
	})
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}
