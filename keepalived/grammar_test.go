package keepalived

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// instance wraps lines into a vrrp_instance VI that has an interface.
func instance(lines string) string {
	return "vrrp_instance VI {\ninterface eth0\n" + lines + "\n}\n"
}

// TestVIPs has a line of grammar a case: a body of vrrp_instance VI, whose
// first line is line 3, the addresses it gives and the problems it has.
func TestVIPs(t *testing.T) {
	for _, test := range []struct{ name, lines, want, problems string }{
		{"one a line", "virtual_ipaddress {\n10.0.0.1\n10.0.0.2/24\n}", "10.0.0.1/32@eth0 10.0.0.2/24@eth0", ""},
		{"brace on the next line", "virtual_ipaddress\n{\n10.0.0.1\n}", "10.0.0.1/32@eth0", ""},
		{"all on one line", "virtual_ipaddress{10.0.0.1}", "10.0.0.1/32@eth0", ""},
		{"text after a brace", "virtual_ipaddress { 10.0.0.1\n10.0.0.2 } priority 7", "10.0.0.1/32@eth0 10.0.0.2/32@eth0", ""},
		{"second on a line", "virtual_ipaddress { 10.0.0.1 10.0.0.2/24 }", "10.0.0.1/32@eth0",
			`:3: virtual_ipaddress: keepalived drops "10.0.0.2/24": it reads one address a line`},
		{"dev and label", "virtual_ipaddress { 10.0.0.1/24 brd + scope global dev eth1 label eth1:x no_track }", "10.0.0.1/24@eth1", ""},
		{"dev without value", "virtual_ipaddress { 10.0.0.1 dev\n10.0.0.2 }", "10.0.0.2/32@eth0",
			":3: virtual_ipaddress: dev has no value; keepalived drops 10.0.0.1"},
		{"dev twice", "virtual_ipaddress { 10.0.0.1 dev eth1 dev eth2 }", "",
			":3: virtual_ipaddress: dev is given twice; keepalived drops 10.0.0.1"},
		{"long label", "virtual_ipaddress { 10.0.0.1 label eth0:123456789012 }", "",
			`:3: virtual_ipaddress: label "eth0:123456789012" is longer than 15 bytes; keepalived drops 10.0.0.1`},
		{"unknown option", "virtual_ipaddress { 10.0.0.1 metric 5 }", "10.0.0.1/32@eth0",
			`:3: virtual_ipaddress: unknown option "metric"; keepalived ignores it|:3: virtual_ipaddress: unknown option "5"; keepalived ignores it`},
		{"peer", "virtual_ipaddress { 10.0.0.1/24 peer 10.0.0.9 }", "10.0.0.1/32@eth0", ""},
		{"prefix too long", "virtual_ipaddress { 10.0.0.1/33 }", "10.0.0.1/32@eth0",
			`:3: prefix length: "33" is not a number from 0 to 32`},
		{"no address", "virtual_ipaddress { vip.example.org\n10.0.0.1 }", "10.0.0.1/32@eth0",
			`:3: virtual_ipaddress: "vip.example.org" is not an address; keepalived skips it`},
		{"IPv6", "virtual_ipaddress { fe80::1/64\n2001:db8::1 }", "fe80::1/64@eth0 2001:db8::1/128@eth0", ""},
		{"mixed families", "virtual_ipaddress { 10.0.0.1\n2001:db8::1 }", "10.0.0.1/32@eth0",
			":4: virtual_ipaddress: 2001:db8::1 is IPv6 in an instance of IPv4; keepalived skips it"},
		{"excluded mixes families", "virtual_ipaddress_excluded { 2001:db8::1/64\n10.0.0.2 }\nvirtual_ipaddress { 10.0.0.1 }",
			"10.0.0.1/32@eth0 2001:db8::1/64@eth0! 10.0.0.2/32@eth0!", ""},
		{"two blocks", "virtual_ipaddress { 10.0.0.1 }\nvirtual_ipaddress { 10.0.0.2 }", "10.0.0.1/32@eth0 10.0.0.2/32@eth0", ""},
		{"quoted", `virtual_ipaddress { "10.0.0.1/24" }`, "10.0.0.1/24@eth0", ""},
		{"vmac", "use_vmac\nvirtual_router_id 51\nvirtual_ipaddress { 10.0.0.1 }", "10.0.0.1/32@vrrp.51", ""},
		{"named vmac", "use_vmac vip0 00:00:5e:00:01:07\nvirtual_ipaddress { 10.0.0.1 }", "10.0.0.1/32@vip0", ""},
		{"comments", "virtual_ipaddress { # here\n10.0.0.1 ! 10.0.0.9\n# 10.0.0.2\n10.0.0.3#x\n}", "10.0.0.1/32@eth0 10.0.0.3/32@eth0", ""},
		{"CRLF", "virtual_ipaddress {\r\n10.0.0.1\r\n}\r", "10.0.0.1/32@eth0", ""},
		{"nested braces of other blocks", "virtual_routes {\n10.1.0.0/16 via 10.0.0.254\n}\nvirtual_ipaddress { 10.0.0.1 }", "10.0.0.1/32@eth0", ""},
		{"unknown word", "no_such_keyword 5\nvirtual_ipaddress { 10.0.0.1 }", "10.0.0.1/32@eth0",
			`:3: unknown keyword "no_such_keyword" in vrrp_instance "VI"; keepalived ignores it`},
		{"value block without brace", "track_interface eth1\nvirtual_ipaddress { 10.0.0.1 }", "",
			`:3: block "track_interface" has words before its {; keepalived ignores them` +
				`|:4: a { is missing at the begin of block "track_interface"; keepalived takes the lines up to the next } for its entries`},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := load(t, instance(test.lines), Options{})
			equal(t, "VIPs", vips(t, config, "VI"), test.want)
			var wanted []string
			if test.problems != "" {
				for _, text := range strings.Split(test.problems, "|") {
					wanted = append(wanted, "keepalived.conf"+text)
				}
			}
			if test.want == "" {
				wanted = append(wanted, `keepalived.conf:1: vrrp_instance "VI" has no virtual_ipaddress`)
			}
			wantProblems(t, config, wanted...)
		})
	}
}

func TestDefinitions(t *testing.T) {
	for _, test := range []struct{ name, before, lines, want, problems string }{
		{"braces", "$IP=10.0.0.1\n", "virtual_ipaddress { ${IP}/24 }", "10.0.0.1/24@eth0", ""},
		{"bare at the end", "$IP=10.0.0.1\n", "virtual_ipaddress {\n$IP\n}", "10.0.0.1/32@eth0", ""},
		{"bare before a blank", "$IP=10.0.0.1\n", "virtual_ipaddress {\n$IP dev eth1\n}", "10.0.0.1/32@eth1", ""},
		{"bare before a slash is none", "$IP=10.0.0.1\n", "virtual_ipaddress {\n$IP/24\n10.0.0.2\n}", "10.0.0.2/32@eth0",
			`:5: virtual_ipaddress: "$IP/24" is not an address; keepalived skips it`},
		{"recursive", "$NET=10.0\n$IP=${NET}.0.1\n", "virtual_ipaddress { ${IP} }", "10.0.0.1/32@eth0", ""},
		{"later value counts", "$IP=10.0.0.1\n$IP=10.0.0.2\n", "virtual_ipaddress { ${IP} }", "10.0.0.2/32@eth0", ""},
		{"used before set", "", "virtual_ipaddress {\n${IP}\n$IP=10.0.0.1\n$IP\n}", "", "many"},
		{"blank before = is none", "$IP =10.0.0.1\n", "virtual_ipaddress { 10.0.0.2 }", "10.0.0.2/32@eth0",
			`:1: unknown keyword "$IP" outside of all blocks; keepalived ignores it`},
		{"of several lines", "$BLOCK= \\\nvirtual_ipaddress { \\\n10.0.0.1 \\\n10.0.0.2 \\\n}\n", "$BLOCK", "10.0.0.1/32@eth0 10.0.0.2/32@eth0", ""},
		{"of several lines, begun at once", "$BLOCK=priority 7 \\\nvirtual_ipaddress { 10.0.0.1 }\n", "$BLOCK", "10.0.0.1/32@eth0", ""},
		{"of several lines within another", "$IN= \\\n10.0.0.1 \\\n10.0.0.2\n$OUT= \\\nvirtual_ipaddress { \\\n$IN \\\n10.0.0.3 \\\n}\n", "$OUT",
			"10.0.0.1/32@eth0 10.0.0.2/32@eth0 10.0.0.3/32@eth0", ""},
		{"a trailing backslash continues nothing else", "", "virtual_ipaddress { 10.0.0.1 \\\n10.0.0.2 }", "10.0.0.2/32@eth0",
			`:3: virtual_ipaddress: "10.0.0.1\\" is not an address; keepalived skips it`},
		{"_INSTANCE", "", "virtual_ipaddress { 10.0.0.1 dev ${_INSTANCE} }", "10.0.0.1/32@node", ""},
		{"_HASH in quotes", "", "virtual_ipaddress { 10.0.0.1 dev \"a${_HASH}b\" }", "10.0.0.1/32@a#b", ""},
		{"_BANG in quotes", "", "virtual_ipaddress { 10.0.0.1 dev \"a${_BANG}b\" }", "10.0.0.1/32@a!b", ""},
		{"_HASH outside quotes begins a comment", "", "virtual_ipaddress {\n10.0.0.1 dev a${_HASH}b\n}", "10.0.0.1/32@a", ""},
		{"_RANDOM", "", "virtual_ipaddress { 10.0.0.${_RANDOM 7 9} }", "10.0.0.7/32@eth0",
			":3: ${_RANDOM} differs at every start of keepalived; 7 is taken here"},
		{"_ENV", "", "virtual_ipaddress { 10.0.0.1 dev ${_ENV HACHECK_TEST_DEVICE} }", "10.0.0.1/32@eth9", ""},
		{"endless", "$A=${B}\n$B=${A}\n", "virtual_ipaddress { 10.0.0.1 }\n${A}", "10.0.0.1/32@eth0",
			":6: definitions refer to each other without an end; the line is left out"},
		{"growing", "$A=x${A}x${A}\n", "virtual_ipaddress { 10.0.0.1 }\n${A}", "10.0.0.1/32@eth0",
			":5: definitions make the line longer than 1023 bytes, which keepalived does not read; the line is left out"},
		{"names a keyword", "$WORD=virtual_ipaddress\n", "$WORD { 10.0.0.1 }", "10.0.0.1/32@eth0", ""},
		{"makes a definition", "$LINE=$IP=10.0.0.1\n", "$LINE\nvirtual_ipaddress { ${IP} }", "10.0.0.1/32@eth0", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("HACHECK_TEST_DEVICE", "eth9")
			config := load(t, test.before+instance(test.lines), Options{ConfigID: "node"})
			if test.problems == "many" {
				// ${IP} is split at its braces, which end the block.
				if len(config.Problems) < 3 {
					t.Errorf("problems: %q", problems(config))
				}
				return
			}
			equal(t, "VIPs", vips(t, config, "VI"), test.want)
			var wanted []string
			if test.problems != "" {
				for _, text := range strings.Split(test.problems, "|") {
					wanted = append(wanted, "keepalived.conf"+text)
				}
			}
			wantProblems(t, config, wanted...)
		})
	}
}

func TestDefinitionPWD(t *testing.T) {
	config := load(t, "include sub/vi.conf\n", Options{},
		"sub/vi.conf", "include ${_PWD}/vip.conf\n", "sub/vip.conf", instance("virtual_ipaddress { 10.0.0.1 }"))
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	wantProblems(t, config)
}

func TestEnvironmentIsKnownSince240(t *testing.T) {
	t.Setenv("HACHECK_TEST_ADDRESS", "10.0.0.1")
	text := instance("virtual_ipaddress {\n10.0.0.2 dev \"${_ENV HACHECK_TEST_ADDRESS}\"\n}")
	equal(t, "2.2.7", vips(t, load(t, text, Options{Version: "2.2.7"}), "VI"), "10.0.0.2/32@${_ENV HACHECK_TEST_ADDRESS}")
	equal(t, "2.4.0", vips(t, load(t, text, Options{Version: "2.4.0"}), "VI"), "10.0.0.2/32@10.0.0.1")
}

func TestSequences(t *testing.T) {
	const invalid = " is not valid; keepalived leaves the line out"
	for _, test := range []struct{ name, line, want, problem string }{
		{"start and end", "~SEQ(i, 1, 3) 10.0.0.$i", "10.0.0.1/32@eth0 10.0.0.2/32@eth0 10.0.0.3/32@eth0", ""},
		{"end only", "~SEQ(i,2) 10.0.0.${i}/24", "10.0.0.1/24@eth0 10.0.0.2/24@eth0", ""},
		{"step", "~SEQ(i, 2, 4, 10) 10.0.0.$i", "10.0.0.2/32@eth0 10.0.0.6/32@eth0 10.0.0.10/32@eth0", ""},
		{"down", "~SEQ(i, 3, 2) 10.0.0.$i", "10.0.0.3/32@eth0 10.0.0.2/32@eth0", ""},
		{"hexadecimal", "~SEQx(i, 9, 11) 10.0.0.1 dev v$i", "10.0.0.1/32@v9 10.0.0.1/32@va 10.0.0.1/32@vb", ""},
		{"nested", "~SEQ(i,1,2) ~SEQ(j,1,2) 10.0.${i}.${j}", "", ""},
		{"parameters are definitions", "~SEQ(i, $FROM, ${TO}) 10.0.0.$i", "10.0.0.5/32@eth0 10.0.0.6/32@eth0", ""},
		{"list", "~LST(d, eth1, eth2) 10.0.0.1 dev $d", "10.0.0.1/32@eth1 10.0.0.1/32@eth2", ""},
		{"list of sets", "~LST({d, i}, {eth1, 7}, {eth2,8}) 10.0.0.$i dev $d", "10.0.0.7/32@eth1 10.0.0.8/32@eth2", ""},
		{"missing values are empty", "~LST({i, d}, {7, dev eth1}, {8}) 10.0.0.$i $d", "", "~LST" + invalid},
		{"short set", "~LST({i, d}, {7, 1}, {8}) 10.0.0.${i}${d}", "10.0.0.71/32@eth0 10.0.0.8/32@eth0", ""},
		{"long set", "~LST(i, {7, 8}) 10.0.0.$i", "", "~LST" + invalid},
		{"wrong direction", "~SEQ(i, 1, -1, 3) 10.0.0.$i", "", "~SEQ" + invalid},
		{"no step", "~SEQ(i, 1, 0, 3) 10.0.0.$i", "", "~SEQ" + invalid},
		{"no number", "~SEQ(i, 1, x) 10.0.0.$i", "", "~SEQ" + invalid},
		{"not closed", "~SEQ(i, 1, 3 10.0.0.$i", "", "~SEQ" + invalid},
		{"no name", "~SEQ(, 1, 3) 10.0.0.$i", "", "~SEQ" + invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := load(t, "$FROM=5\n$TO=6\n"+instance("virtual_ipaddress {\n10.9.9.9\n"+test.line+"\n}"), Options{})
			want := strings.TrimSpace("10.9.9.9/32@eth0 " + test.want)
			if test.name == "nested" {
				want = "10.9.9.9/32@eth0 10.0.1.1/32@eth0 10.0.1.2/32@eth0 10.0.2.1/32@eth0 10.0.2.2/32@eth0"
			}
			equal(t, "VIPs", vips(t, config, "VI"), want)
			if test.problem != "" {
				wantProblems(t, config, "keepalived.conf:7: "+test.problem)
			} else {
				wantProblems(t, config)
			}
		})
	}
}

func TestSequenceOfBlocks(t *testing.T) {
	config := load(t, "$BODY= \\\nvrrp_instance V_${i} { \\\ninterface eth0 \\\nvirtual_ipaddress { 10.0.0.${i} } \\\n}\n"+
		"~SEQ(i,3,4) $BODY\n", Options{})
	equal(t, "VIPs", vips(t, config, "V_3")+" "+vips(t, config, "V_4"), "10.0.0.3/32@eth0 10.0.0.4/32@eth0")
}

func TestConditionals(t *testing.T) {
	text := instance("@a virtual_ipaddress { 10.0.0.1 }\n@^a virtual_ipaddress { 10.0.0.2 }\n@ab priority 1\n@a\n@a priority 7\n@^a priority 8")
	for id, want := range map[string]string{"a": "10.0.0.1/32@eth0 7", "b": "10.0.0.2/32@eth0 8"} {
		config := load(t, text, Options{ConfigID: id})
		wantProblems(t, config)
		in, _ := config.Instance("VI")
		equal(t, "with -i "+id, fmt.Sprint(vips(t, config, "VI"), " ", in.Priority), want)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	short, _, _ := strings.Cut(host, ".")
	config := load(t, instance("virtual_ipaddress { 10.0.0.1 }\n@"+short+" priority 9"), Options{})
	equal(t, "by host name", config.Instances[0].Priority, 9)
}

func TestCommentsAndQuotes(t *testing.T) {
	for _, test := range []struct{ line, password, version, problem string }{
		{`auth_pass ab!cd`, "ab", "", ""},
		{`auth_pass ab#cd`, "ab", "", ""},
		{`auth_pass "ab!cd#e"`, "ab!cd#e", "", ""},
		{`auth_pass "ab!cd" # "x`, "ab!cd", "", ""},
		{`auth_pass ab\!cd`, "ab", "2.2.7", `:4: \# and \! keep a comment sign only in global_defs`},
		{`auth_pass ab\!cd`, "ab!cd", "2.1.5", ""},
		{`auth_pass ab\#cd`, "ab#cd", "2.1.5", ""},
		{`auth_pass "ab cd"`, "ab cd", "", ""},
		{`auth_pass 1234567890`, "12345678", "", ":4: auth_pass is longer than 8 bytes; keepalived cuts it off"},
		{`auth_pass "ab`, "", "", ":4: a double quote is not closed|:4: a quote is not closed; keepalived drops what follows it|:4: auth_pass has no value"},
	} {
		config := load(t, instance("authentication {\n"+test.line+"\n}\nvirtual_ipaddress { 10.0.0.1 }"), Options{Version: test.version})
		in, _ := config.Instance("VI")
		equal(t, test.line, in.AuthPass.Reveal(), test.password)
		var wanted []string
		if test.problem != "" {
			for _, text := range strings.Split(test.problem, "|") {
				wanted = append(wanted, "keepalived.conf"+text)
			}
		}
		wantProblems(t, config, wanted...)
	}
	// keepalived's parent process reads global_defs, once.
	config := load(t, "global_defs {\nrouter_id a\\#b\n}\n", Options{Version: "2.2.7"})
	equal(t, "router_id", config.Global.RouterID, "a#b")
	wantProblems(t, config)
}

func TestCommands(t *testing.T) {
	for _, test := range []struct {
		text           string
		words, ignored []string
	}{
		{`"/usr/bin/hacheck haproxy"`, []string{"/usr/bin/hacheck", "haproxy"}, nil},
		{`/usr/bin/hacheck haproxy`, []string{"/usr/bin/hacheck"}, []string{"haproxy"}},
		{`/usr/bin/hacheck`, []string{"/usr/bin/hacheck"}, nil},
		{`'/bin/echo "hello there" x'`, []string{"/bin/echo", "hello there", "x"}, nil},
		{`"/bin/true 'a b' \"c d\" e"`, []string{"/bin/true", "a b", "c d", "e"}, nil},
		{`/bin/ec\x68o`, []string{"/bin/echo"}, nil},
		{`"/bin/echo a\\ b \\x41 \\101 \\t"`, []string{"/bin/echo", "a b", "A", "A", "\t"}, nil},
		{`"/bin/echo #x" # y`, []string{"/bin/echo", "#x"}, nil},
	} {
		config := load(t, "vrrp_script s {\nscript "+test.text+"\n}\n", Options{})
		if len(config.Scripts) != 1 {
			t.Errorf("script %s: problems %q", test.text, problems(config))
			continue
		}
		command := config.Scripts[0].Command
		equal(t, test.text, command.Words, test.words)
		equal(t, test.text+": ignored", fmt.Sprint(command.Ignored), fmt.Sprint(test.ignored))
		equal(t, test.text+": line", command.Pos.Line, 2)
	}
	for text, problem := range map[string]string{
		`"/bin/true`:  "keepalived.conf:2: a double quote is not closed|keepalived.conf:2: script: a quote is not closed; keepalived drops the command",
		`'/bin/true`:  "keepalived.conf:2: script: a quote is not closed; keepalived drops the command",
		`""`:          "keepalived.conf:2: script has no command; keepalived drops it",
		``:            "keepalived.conf:2: script has no command; keepalived drops it",
		`"/bin/x \\"`: "keepalived.conf:2: script: nothing follows the last backslash; keepalived drops the command",
	} {
		config := load(t, "vrrp_script s {\nscript "+text+"\n}\n", Options{})
		wantProblems(t, config, append(strings.Split(problem, "|"), `keepalived.conf:1: vrrp_script "s" has no script; keepalived removes it`)...)
		equal(t, "scripts", len(config.Scripts), 0)
	}
}

func TestHooks(t *testing.T) {
	config := load(t, instance(`virtual_ipaddress { 10.0.0.1 }
notify_master "/usr/bin/hacheck notify MASTER VI" ops adm
notify_backup /usr/bin/hacheck notify BACKUP VI
notify_backup "/bin/other"
notify "/usr/bin/hacheck notify"
notify_deleted
notify_master_rx_lower_pri "/bin/low"`), Options{})
	h := config.Instances[0].Hooks
	equal(t, "master", h.Master.Words, []string{"/usr/bin/hacheck", "notify", "MASTER", "VI"})
	equal(t, "its user", h.Master.User+":"+h.Master.Group, "ops:adm")
	equal(t, "unquoted", h.Backup.Words, []string{"/usr/bin/hacheck"})
	equal(t, "its user", h.Backup.User+":"+h.Backup.Group, "notify:BACKUP")
	equal(t, "ignored", h.Backup.Ignored, []string{"VI"})
	equal(t, "any", h.Any.Text, `"/usr/bin/hacheck notify"`)
	equal(t, "deleted", config.Instances[0].NotifyDeleted && h.Deleted == nil && h.Stop == nil, true)
	equal(t, "lower priority", h.MasterRxLowerPri.Pos.Line, 9)
	wantProblems(t, config, "keepalived.conf:6: notify_backup is given already at ")
}

func TestInstanceDefaults(t *testing.T) {
	for _, test := range []struct {
		lines, state      string
		priority, version int
		problem           string
	}{
		{"", "BACKUP", 100, 2, ""},
		{"state MASTER", "MASTER", 255, 2, ""},
		{"state MASTER\npriority 150", "MASTER", 150, 2, ""},
		{"state BACKUP", "BACKUP", 100, 2, ""},
		{"state master", "BACKUP", 100, 2, `:4: unknown state "master"; keepalived takes it for BACKUP`},
		{"state MASTER\nstate BACKUP", "MASTER", 255, 2, ":5: state was MASTER before; keepalived ignores BACKUP"},
		{"priority 255", "MASTER", 255, 2, ""},
		{"priority 300", "BACKUP", 100, 2, `:4: priority: "300" is not a number from 1 to 255`},
		{"priority 150x", "BACKUP", 100, 2, `:4: priority: "150x" is not a number from 1 to 255`},
		{"priority 10.5", "BACKUP", 100, 2, `:4: priority: "10.5" is not a number from 1 to 255`},
		{"priority +150", "BACKUP", 150, 2, ""},
		{`priority " 150"`, "BACKUP", 150, 2, ""},
		{"virtual_router_id 5x", "BACKUP", 100, 2, `:4: virtual_router_id: "5x" is not a number from 1 to 255`},
		{"version 3x", "BACKUP", 100, 3, `:4: version: "3x" is not a number; keepalived takes it as 3`},
		{"version 3", "BACKUP", 100, 3, ""},
		{"priority", "BACKUP", 100, 2, ":4: priority has no value; keepalived stops here with a configuration error"},
	} {
		config := load(t, instance("virtual_ipaddress { 10.0.0.1 }\n"+test.lines), Options{})
		in := config.Instances[0]
		equal(t, test.lines, fmt.Sprint(in.State, in.Priority, in.VRRPVersion), fmt.Sprint(test.state, test.priority, test.version))
		equal(t, test.lines+": set", in.Settings.Has("priority"), strings.Contains(test.lines, "priority"))
		equal(t, test.lines+": id", in.VirtualRouterID, 0)
		if test.problem == "" {
			wantProblems(t, config)
		} else {
			wantProblems(t, config, "keepalived.conf"+test.problem)
		}
	}
	config := load(t, "global_defs {\nvrrp_version 3\n}\n"+instance("virtual_ipaddress { 10.0.0.1 }\nadvert_int 0.1\npreempt_delay 1.5\nnopreempt"), Options{})
	in := config.Instances[0]
	equal(t, "global version", in.VRRPVersion, 3)
	equal(t, "times", []time.Duration{in.AdvertInt, in.PreemptDelay}, []time.Duration{100 * time.Millisecond, 1500 * time.Millisecond})
	config = load(t, instance("virtual_ipaddress { fe80::1 }"), Options{})
	equal(t, "IPv6 version", config.Instances[0].VRRPVersion, 3)
	equal(t, "advert_int", config.Instances[0].AdvertInt, time.Second)
}

func TestAdvertInt(t *testing.T) {
	for _, test := range []struct {
		lines   string
		want    time.Duration
		problem string
	}{
		{"advert_int 1.5", 2 * time.Second, ":4: advert_int: 1.5s is not possible with VRRP version 2; keepalived takes 2s"},
		{"advert_int 0.01", time.Second, ":4: advert_int: 10ms is not possible with VRRP version 2; keepalived takes 1s"},
		{"advert_int 255", 255 * time.Second, ""},
		{"advert_int 1.5\nversion 3", 1500 * time.Millisecond, ""},
		{"advert_int 0.015\nversion 3", 20 * time.Millisecond, ":4: advert_int: 15ms is not possible with VRRP version 3; keepalived takes 20ms"},
		{"advert_int 50\nversion 3", 40950 * time.Millisecond, ":4: advert_int: 50s is not possible with VRRP version 3; keepalived takes 40.95s"},
	} {
		config := load(t, instance("virtual_ipaddress { 10.0.0.1 }\n"+test.lines), Options{})
		equal(t, test.lines, config.Instances[0].AdvertInt, test.want)
		if test.problem == "" {
			wantProblems(t, config)
		} else {
			wantProblems(t, config, "keepalived.conf"+test.problem)
		}
	}
}

func TestSecondOfAName(t *testing.T) {
	config := load(t, instance("virtual_ipaddress { 10.0.0.1 }")+
		instance("virtual_ipaddress { 10.0.0.2 }\nauthentication {\nauth_type PASS\n}")+
		"vrrp_instance { interface eth0\n}\nvrrp_instance A B {\n}\n"+
		strings.Replace(instance("virtual_ipaddress { 10.0.0.3 }"), "VI", "V3", 1), Options{})
	equal(t, "instances", len(config.Instances), 2)
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	equal(t, "VIPs", vips(t, config, "V3"), "10.0.0.3/32@eth0")
	wantProblems(t, config, `keepalived.conf:5: vrrp_instance "VI" is defined already at `,
		"keepalived.conf:12: vrrp_instance needs one name; keepalived skips the block",
		"keepalived.conf:14: vrrp_instance needs one name; keepalived skips the block")
}

// The lines of a block that is dropped must not reach the one before it.
func TestDroppedBlockWithoutBrace(t *testing.T) {
	config := load(t, instance("virtual_ipaddress { 10.0.0.1 }")+
		"vrrp_instance\npriority 7\n}\nvrrp_instance VI\npriority 7\n}\nvrrp_script\nfall 9\n}\n"+
		strings.Replace(instance("virtual_ipaddress { 10.0.0.3 }"), "VI", "V3", 1), Options{})
	equal(t, "instances", len(config.Instances), 2)
	equal(t, "priority", config.Instances[0].Priority, 100)
	equal(t, "VIPs", vips(t, config, "V3"), "10.0.0.3/32@eth0")
	wantProblems(t, config, "keepalived.conf:5: vrrp_instance needs one name",
		"keepalived.conf:6: a { is missing", "keepalived.conf:7: unexpected }",
		`keepalived.conf:8: vrrp_instance "VI" is defined already`,
		"keepalived.conf:9: a { is missing", "keepalived.conf:10: unexpected }",
		"keepalived.conf:11: vrrp_script has no name; keepalived stops here with a configuration error",
		"keepalived.conf:12: a { is missing", "keepalived.conf:13: unexpected }")
}

func TestTracking(t *testing.T) {
	config := load(t, `vrrp_script a { script "/bin/a"
 weight -20 }
vrrp_script b { script "/bin/b" }
track_file f { file /run/f
 weight 2 }
vrrp_track_file g { file /run/g }
`+instance(`virtual_ipaddress { 10.0.0.1 }
track_script {
 a
 b weight 5 reverse
 c
 a
 d weight 3
}
track_file {
 f weight 7
 g
}
track_interface {
 eth1 weight -254
 eth2
}`)+strings.Replace(instance("virtual_ipaddress { 10.0.0.2 }\ntrack_script { a }\ntrack_script { a }"), "VI", "V2", 1)+
		"vrrp_script c { script \"/bin/c\" }\n", Options{})
	in := config.Instances[0]
	tracks := func(tracks []Track) string {
		var text string
		for _, track := range tracks {
			text += fmt.Sprintf("%s %d %v:%d;", track.Name, track.Weight, track.Reverse, track.Pos.Line)
		}
		return text
	}
	equal(t, "scripts", tracks(in.TrackScripts), "a -20 false:11;b 5 true:12;")
	equal(t, "files", tracks(in.TrackFiles), "f 7 false:18;g 1 false:19;")
	equal(t, "interfaces", tracks(in.TrackInterfaces), "eth1 -253 false:22;eth2 0 false:23;")
	equal(t, "file", config.TrackFiles[0].File, "/run/f")
	equal(t, "scripts of the next", tracks(config.Instances[1].TrackScripts), "a -20 false:29;")
	wantProblems(t, config,
		`keepalived.conf:13: track_script: no vrrp_script "c" is defined above; keepalived ignores it`,
		`keepalived.conf:14: track_script: "a" is there already; keepalived ignores this one`,
		`keepalived.conf:15: track_script: no vrrp_script "d" is defined above; keepalived ignores it`,
		`keepalived.conf:22: track_interface: weight -254 is beyond 253; keepalived takes -253`,
		`keepalived.conf:30: track_script: "a" is there already; keepalived ignores this one`)
}

func TestScripts(t *testing.T) {
	text := "vrrp_script s {\nscript \"/bin/s\"\ninterval 2.5\ntimeout 0\nrise 2\nfall 3\nweight 500 reverse\nuser ops adm\ninit_fail\n}\n"
	config := load(t, text, Options{Version: "2.3.2"})
	s := config.Scripts[0]
	equal(t, "interval", s.Interval, 2500*time.Millisecond)
	equal(t, "timeout", s.Timeout, time.Second)
	equal(t, "numbers", fmt.Sprintln(s.Rise, s.Fall, s.Weight, s.Reverse, s.User, s.Group, s.InitFail), "2 3 500 true ops adm true\n")
	wantProblems(t, config, "keepalived.conf:4: timeout must be more than 0; keepalived takes 1",
		`keepalived.conf:7: weight: "500" is not a number from -253 to 253`)
	config = load(t, text, Options{Version: "2.2.7"})
	equal(t, "interval of 2.2.7", config.Scripts[0].Interval, 2*time.Second)
	wantProblems(t, config, `keepalived.conf:3: interval: "2.5" is not a number; keepalived takes it as 2`,
		"keepalived.conf:4: timeout must be more than 0", "keepalived.conf:7: weight")
}

func TestSyncGroups(t *testing.T) {
	vi := func(name string) string {
		return strings.Replace(instance("virtual_ipaddress { 10.0.0.1 }"), "VI", name, 1)
	}
	config := load(t, `vrrp_sync_group G1 {
  group { A B
    C
    NONE }
  notify_stop "/bin/x"
  smtp_alert
}
vrrp_sync_group G2 {
  group
  {
    C
  }
}
vrrp_sync_group G1 { group { A } }
`+vi("A")+vi("B")+vi("C"), Options{})
	equal(t, "groups", len(config.Groups), 1)
	group, _ := config.Group("G1")
	equal(t, "members", group.Members, []string{"A", "B", "C"})
	equal(t, "mails", group.SMTPAlert, true)
	equal(t, "hook", group.Hooks.Stop.Words, []string{"/bin/x"})
	wantProblems(t, config, `keepalived.conf:14: vrrp_sync_group "G1" is defined already at `,
		`keepalived.conf:2: vrrp_sync_group "G1": there is no vrrp_instance "NONE"; keepalived ignores it`,
		`keepalived.conf:9: vrrp_sync_group "G2": "C" is in vrrp_sync_group "G1" already; keepalived ignores it here`,
		`keepalived.conf:8: vrrp_sync_group "G2" has no member; keepalived removes it`)
}

func TestOtherBlocks(t *testing.T) {
	config := load(t, `virtual_server 10.0.0.1 80 {
  real_server 10.0.0.2 80 {
    vrrp_instance NO { interface eth0 }
    TCP_CHECK { connect_timeout 3 }
  }
}
static_ipaddress {
  192.0.2.1/24 dev eth0
}
bfd_instance b { neighbor_ip 10.0.0.3 }
no_such_block {
  something else { deep }
}
`+instance("virtual_ipaddress { 10.0.0.1 }"), Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	equal(t, "instances", len(config.Instances), 1)
	wantProblems(t, config, `keepalived.conf:11: unknown keyword "no_such_block" outside of all blocks; keepalived ignores it`)
}

func TestUnknownBlockWithinInstance(t *testing.T) {
	config := load(t, instance("virtual_ipaddress { 10.0.0.1 }\nno_such_block {\na b\n}\nvirtual_ipaddress { 10.0.0.2 }"), Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	wantProblems(t, config,
		`keepalived.conf:4: unknown keyword "no_such_block" in vrrp_instance "VI"; keepalived ignores it`,
		`keepalived.conf:4: keepalived does not skip the unknown block "no_such_block": its } ends the block around it`,
		`keepalived.conf:5: unknown keyword "a" in vrrp_instance "VI"; keepalived ignores it`,
		`keepalived.conf:7: unknown keyword "virtual_ipaddress" outside of all blocks; keepalived ignores it`)
}

func TestBraces(t *testing.T) {
	config := load(t, "}\n"+instance("virtual_ipaddress {\n10.0.0.1"), Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	wantProblems(t, config, "keepalived.conf:1: unexpected }: no block is open",
		"keepalived.conf:2: the block that begins here is not closed: a } is missing")
	config = load(t, "vrrp_instance VI\ninterface eth0\nvirtual_ipaddress { 10.0.0.1 }\n}\n", Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	wantProblems(t, config, "keepalived.conf:2: a { is missing at the begin of the block", "keepalived.conf:4: unexpected }: no block is open")
	config = load(t, "{\n}\n", Options{})
	wantProblems(t, config, "keepalived.conf:1: unexpected {; keepalived ignores it")
}

func TestByteOrderMark(t *testing.T) {
	config := load(t, "\ufeff"+instance("virtual_ipaddress { 10.0.0.1 }")+strings.Replace(instance("virtual_ipaddress { 10.0.0.2 }"), "VI", "V2", 1), Options{})
	equal(t, "instances", len(config.Instances), 1)
	equal(t, "VIPs", vips(t, config, "V2"), "10.0.0.2/32@eth0")
	wantProblems(t, config, "keepalived.conf:1: the file begins with a byte order mark",
		`keepalived.conf:1: unknown keyword "\ufeffvrrp_instance" outside of all blocks`)
}

func TestLongLines(t *testing.T) {
	// The rest of the comment is read as a line of its own.
	config := load(t, instance("virtual_ipaddress {\n#"+strings.Repeat("x", 1022)+"10.0.0.1\n10.0.0.2\n}"), Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0 10.0.0.2/32@eth0")
	equal(t, "line", config.Instances[0].VIPs[0].Pos.Line, 4)
	equal(t, "line", config.Instances[0].VIPs[1].Pos.Line, 5)
	wantProblems(t, config, "keepalived.conf:4: the line is longer than 1023 bytes")
	config = load(t, instance("virtual_ipaddress {\n10.0.0.1"+strings.Repeat(" ", 1015)+"\n}"), Options{})
	wantProblems(t, config)
}

func TestIncludes(t *testing.T) {
	vip := func(n int) string { return fmt.Sprintf("10.0.0.%d\n", n) }
	files := []string{"a/1.conf", vip(1), "a/2.conf", vip(2), "a/.3.conf", vip(3), "a/b/4.conf", "include ../1.conf\n", "x.y", vip(5), "z.y", vip(6)}
	for _, test := range []struct{ line, want, problem string }{
		{"include a/1.conf", "1", ""},
		{"include a/*.conf", "1 2", ""},
		{"includer a/[^1].conf", "2", ""},
		{"includem a/?.conf", "1 2", ""},
		{"includeb {x,z}.y", "5 6", ""},
		{"include {z,{x,w}}.y", "6 5", `include w.y: no such file`},
		{"include a/b/4.conf", "1", ""},
		{"include */b/*.conf", "1", ""},
		{"include a/.*.conf", "3", ""},
		{"include none/*.conf", "", ""},
		{"includew none/*.conf", "", "includew none/*.conf: no such file"},
		{"includea none.conf", "", "includea none.conf: no such file"},
		{"include none.conf", "", "include none.conf: no such file"},
		{`include "a/1.conf"`, "", `include "a/1.conf": no such file`},
		{"include a/1.conf # x.y", "1", ""},
		{"include a", "", "DIR/a is a directory; keepalived skips it"},
		{"includes a/1.conf", "", `virtual_ipaddress: "includes" is not an address`},
		{"include a/[", "", "cannot include a/[: the pattern is malformed"},
		{"$F=a/1.conf\ninclude ${F}", "1", ""},
	} {
		t.Run(test.line, func(t *testing.T) {
			dir := t.TempDir()
			for i := 0; i < len(files); i += 2 {
				write(t, filepath.Join(dir, files[i]), files[i+1], 0o644)
			}
			config := loadIn(t, dir, instance("virtual_ipaddress {\n10.9.9.9\n"+test.line+"\n}"), Options{})
			want := "10.9.9.9/32@eth0"
			for _, n := range strings.Fields(test.want) {
				want += " 10.0.0." + n + "/32@eth0"
			}
			equal(t, "VIPs", vips(t, config, "VI"), want)
			if test.problem == "" {
				wantProblems(t, config)
			} else {
				wantProblems(t, config, "keepalived.conf:5: "+strings.Replace(test.problem, "DIR", dir, 1))
			}
		})
	}
}

func TestIncludePositions(t *testing.T) {
	config := load(t, "include a.conf\n"+instance("virtual_ipaddress { 10.0.0.1 }"), Options{},
		"a.conf", "\n\nvrrp_instance A { interface eth0\nfoo\ninclude b.conf\nbar\n}\n", "b.conf", "virtual_ipaddress {\n10.0.0.2\n}\n")
	equal(t, "line", config.Instances[0].Pos.Line, 3)
	equal(t, "VIP", filepath.Base(config.Instances[0].VIPs[0].Pos.String()), "b.conf:2")
	equal(t, "line", config.Instances[1].Pos.Line, 2)
	equal(t, "files", len(config.Files), 3)
	wantProblems(t, config, `a.conf:4: unknown keyword "foo"`, `a.conf:6: unknown keyword "bar"`)
}

func TestIncludesThatAreSkipped(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.conf"), "10.0.0.1\n", 0o755)
	write(t, filepath.Join(dir, "self.conf"), "include self.conf\n10.0.0.2\n", 0o644)
	write(t, filepath.Join(dir, "loop.conf"), "include ./loop2.conf\n", 0o644)
	write(t, filepath.Join(dir, "loop2.conf"), "include "+dir+"/loop.conf\n10.0.0.3\n", 0o644)
	config := loadIn(t, dir, instance("virtual_ipaddress {\ninclude x.conf\ninclude self.conf\ninclude loop.conf\n}"), Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.2/32@eth0 10.0.0.3/32@eth0")
	wantProblems(t, config, "keepalived.conf:4: "+dir+"/x.conf has an execute bit (mode 0755); keepalived skips it",
		"self.conf:1: "+dir+"/self.conf includes itself; this include is left out",
		"loop2.conf:1: "+dir+"/loop.conf includes itself; this include is left out")
}

func TestIncludeDepth(t *testing.T) {
	dir := t.TempDir()
	for i := range 40 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), fmt.Sprintf("include %d\n", i+1), 0o644)
	}
	config := loadIn(t, dir, "include 0\n"+instance("virtual_ipaddress { 10.0.0.1 }"), Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	equal(t, "files", len(config.Files), maxDepth)
	wantProblems(t, config, "30:1: includes are nested more than 32 deep; "+dir+"/31 is left out")
}

func TestIncludesThatLookAtMuch(t *testing.T) {
	config := load(t, instance("virtual_ipaddress {\n10.0.0.1\n~SEQ(i,1,30) include "+strings.Repeat("{a,b}", 12)+"*\ninclude vip.conf\n10.0.0.2\n}"), Options{},
		"vip.conf", "10.0.0.3\n")
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0 10.0.0.2/32@eth0")
	wantProblems(t, config, "keepalived.conf:5: include lines look at more than 100000 names; nothing more is included")

	// Names that are there count as well.
	dir := t.TempDir()
	for i := range 320 {
		write(t, filepath.Join(dir, "d", fmt.Sprint(i)), "", 0o644)
	}
	config = loadIn(t, dir, instance("virtual_ipaddress {\n10.0.0.1\n~SEQ(i,1,320) include d/*/x\n}"), Options{})
	wantProblems(t, config, "keepalived.conf:5: include lines look at more than 100000 names; nothing more is included")
}

// A file that turns out to be too large only when read, as those of /proc do, is
// not read again and again.
func TestIncludeReadInVain(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "vip.conf"), "10.0.0.3\n", 0o644)
	text := instance("virtual_ipaddress {\n10.0.0.1\ninclude /proc/self/status\ninclude vip.conf\n}")
	r := newReader(Options{})
	r.lines.bytes = maxBytes - len(text) - 100
	r.read(filepath.Join(dir, "keepalived.conf"), []byte(text))
	equal(t, "VIPs", vips(t, r.config, "VI"), "10.0.0.1/32@eth0")
	wantProblems(t, r.config,
		"keepalived.conf:5: cannot include /proc/self/status: it is too large: all files together may have 64 MiB",
		"keepalived.conf:6: cannot include "+dir+"/vip.conf: it is too large: all files together may have 64 MiB")
}

func TestMainFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "keepalived.conf")
	write(t, name, instance("virtual_ipaddress { 10.0.0.1 }"), 0o755)
	config, err := Load(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	wantProblems(t, config, "keepalived.conf:1: the file has an execute bit (mode 0755); keepalived does not read it")

	write(t, filepath.Join(dir, "utf16"), "v\x00r\x00r\x00p\x00", 0o644)
	for name, want := range map[string]string{
		"none":  "cannot read keepalived's configuration DIR/none: no such file or directory",
		".":     "cannot read keepalived's configuration DIR: it is not a regular file",
		"utf16": "cannot read keepalived's configuration DIR/utf16: it is not text: it holds NUL bytes",
	} {
		_, err := Load(filepath.Join(dir, name), Options{})
		if err == nil || err.Error() != strings.Replace(want, "DIR", dir, 1) {
			t.Errorf("Load(%s) = %v, want %s", name, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	vip := instance("virtual_ipaddress { 10.0.0.1 }")
	started := time.Now()
	config := load(t, "~SEQ(i,1,1000000000) foo $i\n"+vip, Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	last := problems(config)[len(config.Problems)-1]
	equal(t, "problems", len(config.Problems), maxProblems)
	equal(t, "last", last, "keepalived.conf:1: there are more problems; they are left out")

	config = load(t, instance("virtual_ipaddress {\n10.0.0.1\n~SEQ(a,1,9999) ~SEQ(b,1,9999) ~LST(c,1,2,3) # x\n}")+"\n", Options{})
	wantProblems(t, config, "keepalived.conf:5: ~SEQ, ~LST and definitions make more than 100000 lines; the rest is left out")

	config = load(t, "$A= \\\n$B \\\n$B\n$B= \\\n$A \\\n$A\n$A\n"+vip, Options{})
	equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
	if len(config.Problems) == 0 {
		t.Error("two definitions that use each other are no problem")
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("three hostile files took %v", took)
	}
}

// The time grows with the file, not with its square: what takes minutes then
// takes less than a second, so the limit may be generous.
func TestTimeOfLargeFiles(t *testing.T) {
	var interfaces strings.Builder
	for i := range 250_000 {
		fmt.Fprintf(&interfaces, "if%d\n", i)
	}
	for _, test := range []struct{ name, text string }{
		{"tracked", "track_interface {\n" + interfaces.String() + "}"},
		{"one line", "#" + strings.Repeat("x", 60<<20)},
	} {
		t.Run(test.name, func(t *testing.T) {
			started := time.Now()
			config := load(t, instance("virtual_ipaddress { 10.0.0.1 }\n"+test.text), Options{})
			if took := time.Since(started); took > 20*time.Second {
				t.Errorf("%d bytes took %v", len(test.text), took)
			}
			equal(t, "VIPs", vips(t, config, "VI"), "10.0.0.1/32@eth0")
		})
	}
}
