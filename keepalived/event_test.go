package keepalived

import (
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	hostile := "a\n\"b'\x00\xff" + strings.Repeat("x", 10_000)
	for _, test := range []struct {
		args []string
		want Event
	}{
		{[]string{"MASTER", "VI_1"}, Event{Name: "VI_1", State: StateMaster}},
		{[]string{"backup", "VI 1"}, Event{Name: "VI 1", State: StateBackup}},
		{[]string{"Stop", "VG1"}, Event{Name: "VG1", State: StateStop}},
		{[]string{"MASTER", "MASTER"}, Event{Name: "MASTER", State: StateMaster}},
		{[]string{"MASTER_RX_LOWER_PRI", "V"}, Event{Name: "V", State: StateMasterRxLowerPri}},
		{[]string{"INSTANCE", "VI_1", "FAULT", "100"}, Event{KindInstance, "VI_1", StateFault, 100, true}},
		{[]string{"GROUP", "VG1", "master", "0"}, Event{KindGroup, "VG1", StateMaster, 0, true}},
		{[]string{"group", "VG1", "deleted", "255"}, Event{KindGroup, "VG1", StateDeleted, 255, true}},
		{[]string{"FAULT", hostile}, Event{Name: hostile, State: StateFault}},
		{[]string{"INSTANCE", hostile, "FAULT", "1"}, Event{KindInstance, hostile, StateFault, 1, true}},
	} {
		got, err := ParseArgs(test.args)
		if err != nil || got != test.want {
			t.Errorf("ParseArgs(%.40q) = %+v, %v, want %+v", test.args, got, err, test.want)
		}
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `no event: want STATE NAME, or INSTANCE|GROUP NAME STATE PRIORITY as keepalived appends to notify "…"; quote the whole command in keepalived.conf, or keepalived drops its arguments`},
		{[]string{"MASTER"}, "1 word is no event: want STATE NAME, or INSTANCE|GROUP NAME STATE PRIORITY; quote a name with blanks"},
		{[]string{"MASTER", "VI", "1"}, "3 words are no event: want STATE NAME, or INSTANCE|GROUP NAME STATE PRIORITY; quote a name with blanks"},
		{[]string{"VI_1", "MASTER"}, `"VI_1" is no state, but "MASTER" is: the state comes first, STATE NAME`},
		{[]string{"PRIMARY", "VI_1"}, `"PRIMARY" is not a state: want MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI, MASTER_PRIORITY or BACKUP_PRIORITY`},
		{[]string{"{UNKNOWN}", "VI_1"}, `"{UNKNOWN}" is not a state: want `},
		{[]string{"MASTER", ""}, "the name of the instance or group is empty: want STATE NAME"},
		{[]string{"INSTANCE", "", "MASTER", "1"}, "the name of the instance or group is empty: want INSTANCE|GROUP NAME STATE PRIORITY"},
		{[]string{"VI", "VI_1", "MASTER", "1"}, `"VI" is neither INSTANCE nor GROUP: want INSTANCE|GROUP NAME STATE PRIORITY`},
		{[]string{"GROUP", "VG1", "UP", "1"}, `"UP" is not a state: want `},
		{[]string{"GROUP", "VG1", "MASTER", "256"}, `"256" is not a priority: want a number from 0 to 255`},
		{[]string{"GROUP", "VG1", "MASTER", "-1"}, `"-1" is not a priority: want a number from 0 to 255`},
		{[]string{"MASTER", "VI_1", "INSTANCE", "VI_1", "MASTER", "100"}, `6 words, of which keepalived appended the last four: write notify without "MASTER" "VI_1" behind the command`},
		{[]string{strings.Repeat("\n", 5000), "VI"}, `"\n\n`},
	} {
		got, err := ParseArgs(test.args)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || got != (Event{}) {
			t.Errorf("ParseArgs(%.40q) = %+v, %v, want the error %s", test.args, got, err, test.want)
		} else if len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error of ParseArgs(%.40q) is not one short line: %v", test.args, err)
		}
	}
}

func TestParseFIFO(t *testing.T) {
	for _, test := range []struct {
		line string
		want FIFOEvent
	}{
		{"INSTANCE \"VI_1\" MASTER 105\n", FIFOEvent{Event: Event{KindInstance, "VI_1", StateMaster, 105, true}}},
		{"GROUP \"G1\" MASTER 0\n", FIFOEvent{Event: Event{KindGroup, "G1", StateMaster, 0, true}}},
		{`INSTANCE "VI_1" MASTER_PRIORITY 95`, FIFOEvent{Event: Event{KindInstance, "VI_1", StateMasterPriority, 95, true}}},
		{`INSTANCE "VI_1" BACKUP_PRIORITY 254`, FIFOEvent{Event: Event{KindInstance, "VI_1", StateBackupPriority, 254, true}}},
		{`INSTANCE "VI_1" MASTER_RX_LOWER_PRI 100`, FIFOEvent{Event: Event{KindInstance, "VI_1", StateMasterRxLowerPri, 100, true}}},
		{`INSTANCE "VI_1" DELETED 0`, FIFOEvent{Event: Event{KindInstance, "VI_1", StateDeleted, 0, true}}},
		{`INSTANCE "a "b" MASTER 1" STOP 0`, FIFOEvent{Event: Event{KindInstance, `a "b" MASTER 1`, StateStop, 0, true}}},
		{"VS [10.0.0.1]:tcp:80 UP\n", FIFOEvent{Event: Event{Kind: "VS", State: StateUp}, VirtualServer: "[10.0.0.1]:tcp:80"}},
		{"\x00RS [10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80 DOWN\n\x00", FIFOEvent{Event: Event{Kind: "RS", State: StateDown}, RealServer: "[10.0.0.2]:tcp:80", VirtualServer: "[10.0.0.1]:tcp:80"}},
		{"VS FWM 5 DOWN\n", FIFOEvent{Event: Event{Kind: "VS", State: StateDown}, VirtualServer: "FWM 5"}},
		{"RS [10.0.0.2]:udp:0 FWM 5 UP\n", FIFOEvent{Event: Event{Kind: "RS", State: StateUp}, RealServer: "[10.0.0.2]:udp:0", VirtualServer: "FWM 5"}},
		{"VS [2001:db8::1]:tcp:80 UP", FIFOEvent{Event: Event{Kind: "VS", State: StateUp}, VirtualServer: "[2001:db8::1]:tcp:80"}},
	} {
		got, err := ParseFIFO([]byte(test.line))
		if err != nil || got != test.want {
			t.Errorf("ParseFIFO(%q) = %+v, %v, want %+v", test.line, got, err, test.want)
		}
	}
	for line, want := range map[string]string{
		"":                                       `"" is no event: want INSTANCE, GROUP, VS or RS`,
		"INSTANCE":                               `"INSTANCE" is no event: want INSTANCE, GROUP, VS or RS`,
		"INSTANCE VI_1 MASTER 1":                 `"INSTANCE VI_1 MASTER 1" is no event: want INSTANCE "NAME" STATE PRIORITY`,
		`INSTANCE "VI_1" MASTER`:                 `"INSTANCE \"VI_1\" MASTER" is no event: want INSTANCE "NAME" STATE PRIORITY`,
		`GROUP "G" {UNKNOWN} 0`:                  `"GROUP \"G\" {UNKNOWN} 0" is no event: "{UNKNOWN}" is not a state`,
		`GROUP "" MASTER 0`:                      `"GROUP \"\" MASTER 0" is no event: the name of the instance or group is empty`,
		`INSTANCE "V" MASTER 300`:                `"INSTANCE \"V\" MASTER 300" is no event: "300" is not a priority`,
		"VS UP":                                  `"VS UP" is no event: want VS SERVER … UP|DOWN`,
		"VS [10.0.0.1]:tcp:80 MAYBE":             `"VS [10.0.0.1]:tcp:80 MAYBE" is no event: "MAYBE" is neither UP nor DOWN`,
		"RS [10.0.0.1]:tcp:80":                   `"RS [10.0.0.1]:tcp:80" is no event: want RS SERVER VIRTUAL-SERVER UP|DOWN`,
		"INSTANCE " + string(make([]byte, 9000)): "a line of 9009 bytes is no event: keepalived writes at most 8192",
	} {
		got, err := ParseFIFO([]byte(line))
		if err == nil || !strings.HasPrefix(err.Error(), want) || got != (FIFOEvent{}) {
			t.Errorf("ParseFIFO(%.60q) = %+v, %v, want the error %s", line, got, err, want)
		}
	}
}
