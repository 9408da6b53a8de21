package email

import (
	"bytes"
	"fmt"
	"mime"
	"net/mail"
	"strings"

	"hacheck/notify"
	"hacheck/notify/secret"
)

var _ notify.Previewer = (*Notifier)(nil)

// previewed are the headers a preview shows, in this order.
var previewed = [...]string{
	"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Importance",
	"X-Hacheck-Event", "X-Hacheck-Host", "X-Hacheck-Name", "X-Hacheck-State", "X-Hacheck-Story", "X-Hacheck-Severity",
}

// Preview shows where the mail goes, its headers and its text, decoded for a
// person. Whether it logs in is told, the account and its password are not.
func (n *Notifier) Preview(notification notify.Notification) (string, error) {
	data, err := n.compose(notification)
	if err != nil {
		return "", &notify.PermanentError{Err: err}
	}
	protection, login := "tls: "+string(n.cfg.TLS), "no login"
	if n.cfg.Username != "" {
		if _, err := secret.ReadLine(n.cfg.PasswordFile); err != nil {
			return "", fmt.Errorf("smtp %s: read password_file: %w", n.relay(), err)
		}
		login = "login"
		if n.cfg.Auth != "" {
			login += " by " + strings.ToLower(n.cfg.Auth)
		}
	}
	letter, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("read the mail back: %w", err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "smtp %s (%s, %s), from %s to", n.relay(), protection, login, path(n.from))
	for _, to := range n.to {
		out.WriteString(" " + path(to))
	}
	out.WriteString("\n\n")
	for _, name := range previewed {
		value := letter.Header.Get(name)
		if value == "" {
			continue
		}
		if decoded, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
			value = decoded
		}
		fmt.Fprintf(&out, "%s: %s\n", name, oneLine(value))
	}
	text := n.cfg.Style.Render(notification)
	fmt.Fprintf(&out, "\n%s", cleanBody(text.Text))
	if text.HTML != "" {
		fmt.Fprintf(&out, "\n(and the same as HTML, %d bytes)\n", len(cleanBody(text.HTML)))
	}
	return out.String(), nil
}
