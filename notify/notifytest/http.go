package notifytest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"hacheck/notify"
)

// HTTPCodes tests what a notifier over HTTP makes of every status code of an
// answer: 2xx is success, 408, 425, 429 and 5xx are temporary, every other one
// is permanent. new makes a notifier for a receiver at url.
func HTTPCodes(t *testing.T, secrets []string, new func(t *testing.T, url string) notify.Notifier) {
	code := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // only to be polite
		w.Header().Set("Location", "https://elsewhere.example/"+r.URL.Path)
		w.WriteHeader(code)
		fmt.Fprintf(w, "answer to %s with %s", r.URL, r.Header)
	}))
	t.Cleanup(server.Close)
	notifier := new(t, server.URL)
	for code = 200; code <= 599; code++ {
		err := notifier.Notify(t.Context(), Notification())
		if code <= 299 {
			if err != nil {
				t.Errorf("%d: %v, want success", code, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%d: success, want an error", code)
			continue
		}
		CheckText(t, err, secrets)
		temporary := code == 408 || code == 425 || code == 429 || code >= 500
		if notify.IsPermanent(err) == temporary {
			t.Errorf("%d: permanent is %t, want %t (%v)", code, !temporary, !temporary, err)
		}
	}
}

// RetryAfter tests that a notifier over HTTP passes on how long the peer asks
// it to wait.
func RetryAfter(t *testing.T, new func(t *testing.T, url string) notify.Notifier) {
	var header string
	var code int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", header)
		w.WriteHeader(code)
	}))
	t.Cleanup(server.Close)
	notifier := new(t, server.URL)
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, test := range []struct {
		name   string
		code   int
		header string
		least  time.Duration
		most   time.Duration
		none   bool
	}{
		{name: "seconds", code: 429, header: "17", least: 17 * time.Second, most: 17 * time.Second},
		{name: "seconds of 503", code: 503, header: " 3 ", least: 3 * time.Second, most: 3 * time.Second},
		{name: "date", code: 429, header: in(time.Hour), least: 58 * time.Minute, most: time.Hour},
		{name: "date in the past", code: 429, header: in(-time.Hour)},
		{name: "days", code: 429, header: "9999999", least: 24 * time.Hour, most: 24 * time.Hour},
		{name: "overflow", code: 429, header: "99999999999999999999999", least: 24 * time.Hour, most: 24 * time.Hour},
		{name: "nothing", code: 429, none: true},
		{name: "negative", code: 429, header: "-5", none: true},
		{name: "nonsense", code: 429, header: "soon", none: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, header = test.code, test.header
			err := notifier.Notify(t.Context(), Notification())
			var later *notify.RetryAfterError
			switch {
			case err == nil || notify.IsPermanent(err):
				t.Fatalf("%v, want a temporary error", err)
			case errors.As(err, &later) == test.none:
				t.Fatalf("%#v names a time: %t, want %t", err, !test.none, !test.none)
			case !test.none && (later.After < test.least || later.After > test.most):
				t.Errorf("wait %s, want %s to %s", later.After, test.least, test.most)
			}
		})
	}
}
