package manual

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"hacheck/config"
)

func TestCommandPage(t *testing.T) {
	root := &cobra.Command{Use: "hacheck", Short: "Check nodes"}
	child := &cobra.Command{
		Use: "tcp ADDRESS…", Short: "Dial an address",
		Long: "Dial it.\n\nIn keepalived.conf:\n\n    script \"/usr/bin/hacheck tcp\"\n        .more\n\nA path is C:\\x.\n\nExit codes:\n  0  healthy, or done\n  1  unhealthy",
		Run:  func(*cobra.Command, []string) {},
	}
	child.Flags().String("send", "", "`text` to send")
	child.Flags().Int("tries", 3, "how often")
	root.AddCommand(child)
	pages := Commands(root, time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC))
	var page string
	for _, p := range pages {
		if p.File == "hacheck-tcp.1" {
			page = string(p.Text)
		}
	}
	for _, want := range []string{
		`.TH "HACHECK\-TCP" "1" "2026-03-14" "hacheck" "hacheck manual"`,
		"hacheck\\-tcp \\- Dial an address\n",
		".RS 4\n.nf\nscript \\(dq/usr/bin/hacheck tcp\\(dq\n    .more\n.fi\n",
		`A path is C:\ex.`,
		".TP\n\\fB\\-\\-send\\fR \\fItext\\fR\ntext to send\n",
		"how often (default 3)\n",
		".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nhealthy, or done\n.TP\n\\fB1\\fR\nunhealthy\n",
		".BR hacheck (1),\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	if strings.Contains(page, "Exit codes") {
		t.Errorf("the exit codes are in the description, too:\n%s", page)
	}
}

func TestConfigurationPage(t *testing.T) {
	page := string(Configuration([]config.Section{{
		Path: "notify.channels[]", Type: "smtp", Doc: "mail",
		Settings: []config.Setting{
			{Key: "tls", Form: config.Form{Type: "word", Choices: []string{"none", "starttls"}}, Default: "starttls", Doc: "how to encrypt"},
			{Key: "cfg", Form: config.Form{Type: "text", Secret: true}, Doc: "haproxy.cfg of this node"},
		},
	}}, time.Time{}).Text)
	for _, want := range []string{
		`.SH "NOTIFY.CHANNELS[] OF TYPE SMTP"` + "\nMail.\n",
		".TP\n\\fBtls\\fR: \\fIword: none, starttls\\fR\nHow to encrypt. Default: starttls.\n",
		"haproxy.cfg of this node. It may hold a secret and is never shown.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
}
