package notifytest

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"hacheck/notify"
)

// NoSecrets tests that a notifier keeps its secrets whatever its peer does: it
// meets every odd peer, one that repeats what it hears and one that is not
// there, and is asked for its preview each time.
func (c Contract) NoSecrets(t *testing.T) {
	if len(c.Secrets) == 0 {
		t.Fatal("the notifier has no secrets to keep")
	}
	odd := append(peers(c.Prologue), peer{name: "repeats what it hears", serve: func(conn net.Conn, _ <-chan struct{}) {
		write(conn, c.Prologue)
		io.Copy(conn, conn) //nolint:errcheck // until the notifier leaves
	}})
	for _, peer := range odd {
		t.Run(peer.name, func(t *testing.T) {
			Secrets(t, c.New(t, Serve(t, peer.serve)), c.Secrets)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		listener := Listen(t)
		listener.Close()
		Secrets(t, c.New(t, listener.Addr().String()), c.Secrets)
	})
}

// Secrets tests that nothing a notifier says holds one of its secrets: not
// the error of an attempt, nor an error it wraps, nor the preview. How the
// attempts end does not matter.
func Secrets(t *testing.T, notifier notify.Notifier, secrets []string) {
	t.Helper()
	previewer, ok := notifier.(notify.Previewer)
	if !ok {
		t.Fatalf("%T has no preview", notifier)
	}
	for _, event := range []notify.Event{Event(), Hostile()} {
		notification := notify.Notification{Event: event}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := notifier.Notify(ctx, notification)
		cancel()
		if err != nil {
			CheckText(t, err, secrets)
		}
		preview, err := previewer.Preview(notification)
		if err != nil {
			CheckText(t, err, secrets)
			continue
		}
		CheckPreview(t, preview, secrets)
	}
}

// CheckPreview fails if a preview is empty, holds a secret, or holds what a
// terminal would act on.
func CheckPreview(t *testing.T, preview string, secrets []string) {
	t.Helper()
	if strings.TrimSpace(preview) == "" {
		t.Error("the preview is empty")
	}
	for _, secret := range secrets {
		if strings.Contains(preview, secret) {
			t.Errorf("the preview holds the secret %q:\n%s", secret, preview)
		}
	}
	if at := strings.IndexFunc(preview, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }); at >= 0 {
		t.Errorf("the preview holds a control character: %q", preview[max(0, at-40):min(len(preview), at+40)])
	}
}
