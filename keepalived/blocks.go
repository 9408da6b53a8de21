package keepalived

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (r *reader) group() *SyncGroup     { return &r.config.Groups[len(r.config.Groups)-1] }
func (r *reader) script() *Script       { return &r.config.Scripts[len(r.config.Scripts)-1] }
func (r *reader) trackFile() *TrackFile { return &r.config.TrackFiles[len(r.config.TrackFiles)-1] }
func (r *reader) unnamed(words []string) {
	r.report("%s has no name; keepalived stops here with a configuration error", words[0])
}

func (r *reader) startGroup(words []string) {
	name, ok := r.name(words)
	if ok {
		if first, exists := r.groups[name]; exists {
			r.report("vrrp_sync_group %s is defined already at %v; keepalived skips this one", quoteShort(name), r.config.Groups[first].Pos)
			ok = false
		}
	}
	if !ok {
		r.dropBlock()
		return
	}
	r.groups[name] = len(r.config.Groups)
	r.tracked = map[trackKey]bool{}
	r.config.Groups = append(r.config.Groups, SyncGroup{Name: name, Pos: r.pos()})
	r.block(groupBlock, true)
}

// groupKeyword handles a line of vrrp_sync_group.
func (r *reader) groupKeyword(words []string, text string) bool {
	g := r.group()
	keyword := words[0]
	pos := r.pos()
	switch keyword {
	case "group":
		if len(g.Members) > 0 {
			r.report("group is given already; keepalived ignores this one")
			r.skipBlock()
			return true
		}
		r.values(func(words []string) {
			for _, word := range words {
				g.Members = append(g.Members, strings.Clone(word))
			}
		})
	case "track_script":
		r.values(func(words []string) { r.trackScript(&g.TrackScripts, words) })
	case "track_file":
		r.values(func(words []string) { r.trackFileEntry(&g.TrackFiles, words) })
	case "track_interface":
		r.values(func(words []string) { r.trackInterface(&g.TrackInterfaces, words) })
	case "notify_master":
		r.hook(&g.Hooks.Master, words, text)
	case "notify_backup":
		r.hook(&g.Hooks.Backup, words, text)
	case "notify_fault":
		r.hook(&g.Hooks.Fault, words, text)
	case "notify_stop":
		r.hook(&g.Hooks.Stop, words, text)
	case "notify":
		r.hook(&g.Hooks.Any, words, text)
	case "smtp_alert":
		r.flag(&g.SMTPAlert, words)
	case "sync_group_tracking_weight", "global_tracking":
		g.TrackingWeight = true
	case "track_process", "track_bfd":
		r.values(ignoreValue)
	case "notify_priority_changes":
		r.flag(&g.NotifyPriorityChanges, words)
	default:
		return false
	}
	g.Settings.set(strings.Clone(keyword), pos)
	return true
}

func (r *reader) startScript(words []string) {
	if len(words) < 2 {
		r.unnamed(words)
		r.dropBlock()
		return
	}
	name := strings.Clone(words[1])
	r.config.Scripts = append(r.config.Scripts, Script{
		Name: name, Pos: r.pos(), Interval: time.Second, Rise: 1, Fall: 1,
	})
	if r.block(scriptBlock, true) {
		return
	}
	script := r.script()
	if len(script.Command.Words) == 0 {
		r.problem(script.Pos, fmt.Sprintf("vrrp_script %s has no script; keepalived removes it", quoteShort(name)))
		r.config.Scripts = r.config.Scripts[:len(r.config.Scripts)-1]
		return
	}
	if script.Timeout == 0 {
		script.Timeout = script.Interval
	}
	if first, exists := r.scripts[name]; exists {
		r.problem(script.Pos, fmt.Sprintf("vrrp_script %s is defined already at %v; track_script means that one", quoteShort(name), r.config.Scripts[first].Pos))
		return
	}
	r.scripts[name] = len(r.config.Scripts) - 1
}

// scriptKeyword handles a line of vrrp_script.
func (r *reader) scriptKeyword(words []string, text string) bool {
	s := r.script()
	switch words[0] {
	case "script":
		if command, ok := r.command(words[0], text); ok {
			s.Command = command
		}
	case "interval":
		r.scriptSeconds(&s.Interval, words)
	case "timeout":
		r.scriptSeconds(&s.Timeout, words)
	case "rise":
		s.Rise = 1
		r.number(&s.Rise, words, 1, 1<<31-1)
	case "fall":
		s.Fall = 1
		r.number(&s.Fall, words, 1, 1<<31-1)
	case "weight":
		r.weight(&s.Weight, &s.Reverse, words, 253)
	case "user":
		if user, ok := r.value(words); ok {
			s.User, s.Group = user, ""
			if len(words) > 2 {
				s.Group = strings.Clone(words[2])
			}
		}
	case "init_fail":
		s.InitFail = true
	default:
		return false
	}
	s.Settings.set(strings.Clone(words[0]), r.pos())
	return true
}

// scriptSeconds reads an interval or timeout; 0 is taken for 1 s. Before
// 2.3.2 a fraction is cut off.
func (r *reader) scriptSeconds(into *time.Duration, words []string) {
	if r.lines.opts.before(2, 3, 2) {
		var seconds int
		if r.number(&seconds, words, 0, 4294) {
			*into = time.Duration(seconds) * time.Second
		}
	} else if r.duration(into, words, 0, 4294*time.Second) {
		*into = into.Round(time.Millisecond)
	}
	if len(words) > 1 && *into == 0 {
		r.report("%s must be more than 0; keepalived takes 1", words[0])
		*into = time.Second
	}
}

// weight reads "weight N [reverse]". keepalived takes a weight out of range
// although it reports it.
func (r *reader) weight(into *int, reverse *bool, words []string, most int64) {
	text, ok := r.value(words)
	if !ok {
		return
	}
	weight, _ := r.integer(words[0], text, -most, most)
	*into = int(max(min(weight, 1<<31-1), -1<<31))
	if len(words) > 2 {
		if words[2] == "reverse" {
			*reverse = true
		} else {
			r.report("unknown weight option %s; keepalived ignores it", r.quote(words[2]))
		}
	}
}

func (r *reader) startTrackFile(words []string) {
	if len(words) < 2 {
		r.unnamed(words)
		r.dropBlock()
		return
	}
	name := strings.Clone(words[1])
	r.config.TrackFiles = append(r.config.TrackFiles, TrackFile{Name: name, Pos: r.pos(), Weight: 1})
	if r.block(trackFileBlock, true) {
		return
	}
	file := r.trackFile()
	if file.File == "" {
		r.problem(file.Pos, fmt.Sprintf("track_file %s has no file; keepalived ignores it", quoteShort(name)))
		r.config.TrackFiles = r.config.TrackFiles[:len(r.config.TrackFiles)-1]
		return
	}
	if first, exists := r.trackFiles[name]; exists {
		r.problem(file.Pos, fmt.Sprintf("track_file %s is defined already at %v; instances mean that one", quoteShort(name), r.config.TrackFiles[first].Pos))
		return
	}
	r.trackFiles[name] = len(r.config.TrackFiles) - 1
}

// trackFileKeyword handles a line of track_file at the outermost level.
func (r *reader) trackFileKeyword(words []string) bool {
	f := r.trackFile()
	switch words[0] {
	case "file":
		if f.File != "" {
			r.report("file is given already; keepalived ignores this one")
		} else {
			r.text(&f.File, words)
		}
	case "weight":
		if text, ok := r.value(words); ok {
			if weight, ok := r.integer(words[0], text, -254, 254); ok {
				f.Weight = int(weight)
			} else {
				f.Weight = 1
			}
			f.Reverse = f.Reverse || len(words) > 2 && words[2] == "reverse"
		}
	case "init_file":
		f.Init = true
	default:
		return false
	}
	f.Settings.set(strings.Clone(words[0]), r.pos())
	return true
}

// complete applies the defaults that depend on other blocks.
func (r *reader) complete() {
	g := &r.config.Global
	mails := g.SMTPAlert
	if g.Settings.Has("smtp_alert_vrrp") {
		mails = g.SMTPAlertVRRP
	}
	inGroup := r.completeGroups(mails)
	for i := range r.config.Instances {
		in := &r.config.Instances[i]
		completeInstance(in, g)
		r.roundAdvertInt(in)
		if !in.Settings.Has("smtp_alert") {
			in.SMTPAlert = mails
		}
		if !in.Settings.Has("notify_priority_changes") {
			in.NotifyPriorityChanges = g.VRRPNotifyPriorityChanges
			if group, ok := inGroup[in.Name]; ok && group.Settings.Has("notify_priority_changes") {
				in.NotifyPriorityChanges = group.NotifyPriorityChanges
			}
		}
		if len(in.VIPs) == 0 || in.VIPs[0].Excluded {
			consequence := ""
			if in.VRRPVersion == 3 || g.VRRPStrict {
				consequence = "; keepalived stops here with a configuration error"
			}
			r.problem(in.Pos, fmt.Sprintf("vrrp_instance %s has no virtual_ipaddress%s", quoteShort(in.Name), consequence))
		}
	}
}

func completeInstance(in *Instance, g *Global) {
	if in.VRRPVersion == 0 {
		in.VRRPVersion = g.VRRPVersion
		if in.family == 6 {
			in.VRRPVersion = 3
		}
	}
	if in.Priority == 0 {
		in.Priority = 100
		if in.State == "MASTER" {
			in.Priority = 255
		}
	}
	if in.State == "" {
		in.State = "BACKUP"
		if in.Priority == 255 {
			in.State = "MASTER"
		}
	}
	device := in.Interface
	if in.UseVMAC {
		device = in.vmacName
		if device == "" && in.family == 6 {
			device = fmt.Sprintf("vrrp6.%d", in.VirtualRouterID)
		} else if device == "" {
			device = fmt.Sprintf("vrrp.%d", in.VirtualRouterID)
		}
	}
	for i := range in.VIPs {
		if in.VIPs[i].Device == "" {
			in.VIPs[i].Device = device
		}
	}
	slices.SortStableFunc(in.VIPs, func(a, b VIP) int {
		switch {
		case a.Excluded == b.Excluded:
			return 0
		case a.Excluded:
			return 1
		}
		return -1
	})
}

// roundAdvertInt makes of advert_int what a packet can say: whole seconds in
// version 2, hundredths of a second up to 40.95 s in version 3.
func (r *reader) roundAdvertInt(in *Instance) {
	unit, most := time.Second, 255*time.Second
	if in.VRRPVersion == 3 {
		unit = 10 * time.Millisecond
		most = 4095 * unit
	}
	rounded := min(max(in.AdvertInt.Round(unit), unit), most)
	if rounded == in.AdvertInt {
		return
	}
	pos, _ := in.Settings.Pos("advert_int")
	r.problem(pos, fmt.Sprintf("advert_int: %v is not possible with VRRP version %d; keepalived takes %v", in.AdvertInt, in.VRRPVersion, rounded))
	in.AdvertInt = rounded
}

// completeGroups removes members that do not exist or are in an earlier group,
// and groups without members.
func (r *reader) completeGroups(mails bool) map[string]*SyncGroup {
	inGroup := map[string]*SyncGroup{}
	kept := r.config.Groups[:0]
	for _, group := range r.config.Groups {
		pos, ok := group.Settings.Pos("group")
		if !ok {
			pos = group.Pos
		}
		members := group.Members
		group.Members = nil
		for _, member := range members {
			earlier, taken := inGroup[member]
			switch _, exists := r.instances[member]; {
			case !exists:
				r.problem(pos, fmt.Sprintf("vrrp_sync_group %s: there is no vrrp_instance %s; keepalived ignores it", quoteShort(group.Name), quoteShort(member)))
			case taken:
				r.problem(pos, fmt.Sprintf("vrrp_sync_group %s: %s is in vrrp_sync_group %s already; keepalived ignores it here", quoteShort(group.Name), quoteShort(member), quoteShort(earlier.Name)))
			default:
				group.Members = append(group.Members, member)
				inGroup[member] = &group
			}
		}
		if len(group.Members) == 0 {
			r.problem(group.Pos, fmt.Sprintf("vrrp_sync_group %s has no member; keepalived removes it", quoteShort(group.Name)))
			continue
		}
		if !group.Settings.Has("smtp_alert") {
			group.SMTPAlert = mails
		}
		kept = append(kept, group)
	}
	r.config.Groups = kept
	return inGroup
}
