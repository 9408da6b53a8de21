package notify

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDocument reads the document as a receiver would: by the names of its
// fields alone.
func TestDocument(t *testing.T) {
	event := example(Fault)
	event.Notes = []string{"a < b & c > d"}
	notification := Notification{Event: event}
	body, err := Document(notification, Message{Subject: "subject", Text: "text", HTML: "<p>text</p>"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(body), "\r\n") {
		t.Errorf("the document is more than one line: %q", body)
	}
	var got struct {
		Version int
		Message map[string]string
	}
	var back Event
	for _, into := range []any{&got, &back} {
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
	if got.Version != 1 || len(got.Message) != 2 || got.Message["subject"] != "subject" || got.Message["text"] != "text" {
		t.Errorf("version and message are %+v", got)
	}
	first, _ := json.Marshal(event)
	second, _ := json.Marshal(back)
	if string(first) != string(second) {
		t.Errorf("the event came back as\n%s\nwant\n%s", second, first)
	}
	if !strings.Contains(string(body), `"a < b & c > d"`) {
		t.Errorf("the document is written for a page: %s", body)
	}
}

func TestDocumentHasLists(t *testing.T) {
	body, err := Document(Notification{}, Message{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `"vips":[]`) {
		t.Errorf("the document has no empty list of VIPs: %s", body)
	}
}
