package checks

import (
	"bufio"
	"errors"
	"io"
	"os"
	"testing"

	"hacheck/haproxy"
)

// Every server row of a real answer with each status HAProxy 2.6 has.
func TestServerMeaning(t *testing.T) {
	file, err := os.Open("testdata/haproxy/sem-show-stat.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := haproxy.NewStatReader(bufio.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	type meaning struct {
		use   usability
		words string
	}
	refused := meaning{unusable, "DOWN: L4CON Connection refused"}
	unchecked := meaning{unsettled, "is not checked by HAProxy"}
	up := meaning{usable, "UP"}
	maint := meaning{unusable, "MAINT"}
	noNew := meaning{unusable, "NOLB (asked for no new connections)"}
	agentDown := meaning{unusable, `DOWN (agent): via agent : down (maint, "by" bob)`}
	want := map[string]meaning{
		"be_check_up/s1":           up,
		"be_nocheck_dead/s1":       unchecked,
		"be_nocheck_dead/s2":       unchecked,
		"be_check_dead/s1":         refused,
		"be_partial/s1":            refused,
		"be_partial/s2":            up,
		"be_mixed_nocheck_down/s1": refused,
		"be_mixed_nocheck_down/s2": unchecked,
		"be_maint_all/s1":          maint,
		"be_maint_all/s2":          maint,
		"be_backup_only_up/s1":     refused,
		"be_backup_only_up/b1":     up,
		"be_backup_only_up/b2":     up,
		"be_backup_nocheck/s1":     refused,
		"be_backup_nocheck/b1":     unchecked,
		"be_track/s1":              up,
		"be_track/s2":              {unusable, "DOWN: like be_check_dead/s1"},
		"be_track/s3":              {unusable, "MAINT (via be_maint_all/s1)"},
		"be_resolution/s1":         {unusable, "MAINT (resolution)"},
		"be_resolution_nocheck/s1": {unusable, "MAINT (resolution)"},
		"be_fall_slow/s1":          {unusable, "DOWN: L7STS 500 x"},
		"be_rise_slow/s1":          {unusable, "DOWN: L7STS 500 x"},
		"be_503/s1":                {unusable, `DOWN: L7STS 503 Broken, "quoted" reason`},
		"be_404/s1":                noNew,
		"be_404/s2":                noNew,
		"be_404_t/s1":              noNew,
		"be_agent_down/s1":         agentDown,
		"be_agent_down_c/s1":       agentDown,
		"be_agent_drain/s1":        {unusable, "DRAIN (agent)"},
		"be_agent_maint/s1":        maint,
		"be_agent_up/s1":           {unusable, "has weight 0"},
		"be_weight0/s1":            {unusable, "has weight 0"},
		"be_weight0_nocheck/s1":    {unusable, "has weight 0"},
		"be_drain/s1":              {unusable, "DRAIN"},
		"be_drain_nocheck/s1":      {unusable, "DRAIN"},
		"be_tpl/w1":                up,
		"be_tpl/w2":                up,
		"be_tpl/w3":                up,
		"be_slowstart/s1":          up,
		"be_defsrv_check/s1":       refused,
		"be_defsrv_check/s2":       unchecked,
		"li_nocheck_dead/d1":       unchecked,
		"li_nocheck_dead/d2":       unchecked,
		"li_check_dead/d1":         refused,
	}
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.Type != haproxy.RowServer {
			continue
		}
		name := row.Proxy + "/" + row.Server
		got := newServer(row)
		if expected, ok := want[name]; !ok || got.use != expected.use || got.words != expected.words {
			t.Errorf("%s (%s): %d, %q; want %d, %q", name, row.Status, got.use, got.words, expected.use, expected.words)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not in the answer", name)
	}
}

// What the captured answer does not hold: states on their way, and before the
// first check.
func TestServerMeaningOnTheWay(t *testing.T) {
	tests := []struct {
		row   haproxy.Row
		use   usability
		words string
	}{
		{haproxy.Row{Status: "UP 1/3", Weight: 1, CheckStatus: "INI"}, unsettled, "was not checked yet"},
		{haproxy.Row{Status: "UP 1/3", Weight: 1, CheckStatus: "L4CON"}, usable, "UP 1/3"},
		{haproxy.Row{Status: "UP 1/3", Weight: 0, CheckStatus: "INI"}, unusable, "has weight 0"},
		{haproxy.Row{Status: "DOWN 1/2", Weight: 1, CheckStatus: "L4OK"}, unusable, "DOWN 1/2: L4OK"},
		{haproxy.Row{Status: "DOWN", Weight: 1}, unusable, "DOWN"},
		{haproxy.Row{Status: "DOWN", Weight: 1, CheckStatus: "L7RSP", LastCheck: "a\nb\x1b[31m"}, unusable, `DOWN: L7RSP a\nb\x1b[31m`},
		{haproxy.Row{Status: "NOLB 1/2", Weight: 1, CheckStatus: "L4CON"}, unusable, "NOLB 1/2 (asked for no new connections)"},
		{haproxy.Row{Status: "DRAIN 2/3", Weight: 1, CheckStatus: "L4CON"}, unusable, "DRAIN 2/3"},
		{haproxy.Row{Status: "no check", Weight: 1, AgentStatus: "L7OK"}, usable, "is up by its agent"},
		{haproxy.Row{Status: "no check", Weight: 1, AgentStatus: "CHECKED"}, usable, "is up by its agent"},
		{haproxy.Row{Status: "no check", Weight: 1, AgentStatus: "INI"}, unsettled, "is not checked by HAProxy"},
		{haproxy.Row{Status: "no check", Weight: 1, AgentStatus: "L4TOUT"}, unsettled, "is not checked by HAProxy"},
		{haproxy.Row{Status: "no check", Weight: -1}, unsettled, "is not checked by HAProxy"},
		{haproxy.Row{Status: "SLEEPING", Weight: 1}, unsettled, "has the unknown status SLEEPING"},
		{haproxy.Row{}, unsettled, "has the unknown status "},
	}
	for _, test := range tests {
		if got := newServer(test.row); got.use != test.use || got.words != test.words {
			t.Errorf("%+v: %d, %q; want %d, %q", test.row, got.use, got.words, test.use, test.words)
		}
	}
}
