package keepalived

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Bounds of the kernel and of keepalived.
const (
	maxInterfaceName = 15 // IFNAMSIZ less the terminating NUL
	maxAuthPass      = 8  // bytes in a VRRP packet
)

func (r *reader) instance() *Instance { return &r.config.Instances[len(r.config.Instances)-1] }

func (r *reader) startInstance(words []string) {
	name, ok := r.name(words)
	if ok {
		if first, exists := r.instances[name]; exists {
			r.report("vrrp_instance %s is defined already at %v; keepalived skips this one", quoteShort(name), r.config.Instances[first].Pos)
			ok = false
		}
	}
	if !ok {
		r.dropBlock()
		return
	}
	r.instances[name] = len(r.config.Instances)
	r.tracked = map[trackKey]bool{}
	r.config.Instances = append(r.config.Instances, Instance{Name: name, Pos: r.pos(), AdvertInt: time.Second})
	r.block(instanceBlock, true)
}

// instanceKeyword handles a line of vrrp_instance.
func (r *reader) instanceKeyword(words []string, text string) bool {
	in := r.instance()
	keyword := words[0]
	pos := r.pos()
	switch keyword {
	case "state":
		r.state(in, words)
	case "interface":
		if name, ok := r.value(words); ok && r.interfaceName(name) {
			in.Interface = name
		}
	case "virtual_router_id":
		r.pureNumber(&in.VirtualRouterID, words, 1, 255)
	case "priority":
		in.Priority = 100 // also if the number is not valid
		r.pureNumber(&in.Priority, words, 1, 255)
	case "advert_int":
		r.duration(&in.AdvertInt, words, 10*time.Millisecond, 255*time.Second)
	case "nopreempt":
		in.Nopreempt = true
	case "preempt":
		in.Nopreempt = false
	case "preempt_delay":
		in.PreemptDelay = 0
		r.duration(&in.PreemptDelay, words, 0, 1000*time.Second)
	case "version":
		r.version(in, words)
	case "native_ipv6":
		if in.family == 4 {
			r.report("native_ipv6 with IPv4 addresses; keepalived ignores it")
		} else {
			in.family, in.VRRPVersion = 6, 3
		}
	case "unicast_src_ip", "mcast_src_ip":
		if text, ok := r.value(words); ok {
			if addr, ok := r.address(in, keyword, text); ok {
				in.UnicastSrcIP = addr
			}
		}
	case "mcast_dst_ip":
		if text, ok := r.value(words); ok {
			r.address(in, keyword, text)
		}
	case "unicast_peer":
		r.values(func(words []string) {
			in := r.instance()
			if addr, ok := r.address(in, "unicast_peer", words[0]); ok {
				in.UnicastPeers = append(in.UnicastPeers, Peer{addr, r.pos()})
			}
		})
	case "virtual_ipaddress":
		r.values(func(words []string) { r.vip(words, false) })
	case "virtual_ipaddress_excluded":
		r.values(func(words []string) { r.vip(words, true) })
	case "authentication":
		r.block(authBlock, true)
	case "auth_hmac":
		r.block(hmacBlock, true)
	case "track_script":
		r.values(func(words []string) { r.trackScript(&r.instance().TrackScripts, words) })
	case "track_file":
		r.values(func(words []string) { r.trackFileEntry(&r.instance().TrackFiles, words) })
	case "track_interface":
		r.values(func(words []string) { r.trackInterface(&r.instance().TrackInterfaces, words) })
	case "notify_master":
		r.hook(&in.Hooks.Master, words, text)
	case "notify_backup":
		r.hook(&in.Hooks.Backup, words, text)
	case "notify_fault":
		r.hook(&in.Hooks.Fault, words, text)
	case "notify_stop":
		r.hook(&in.Hooks.Stop, words, text)
	case "notify_deleted":
		in.NotifyDeleted = true
		if len(words) > 1 {
			r.hook(&in.Hooks.Deleted, words, text)
		}
	case "notify_master_rx_lower_pri":
		r.hook(&in.Hooks.MasterRxLowerPri, words, text)
	case "notify":
		r.hook(&in.Hooks.Any, words, text)
	case "smtp_alert":
		r.flag(&in.SMTPAlert, words)
	case "notify_priority_changes":
		r.flag(&in.NotifyPriorityChanges, words)
	case "use_vmac":
		in.UseVMAC = true
		for _, word := range words[1:] {
			if !strings.Contains(word, ":") && in.vmacName == "" {
				in.vmacName = strings.Clone(word)
			}
		}
	case "use_ipvlan":
		in.UseVMAC = true
		r.ipvlan(in, words[1:])
	case "track_process", "track_bfd", "virtual_routes", "virtual_rules":
		r.values(ignoreValue)
	case "use_vmac_addr", "vmac_xmit_base", "unicast_fault_no_peer", "check_unicast_src",
		"old_unicast_checksum", "vrf", "dont_track_primary", "track_src_ip", "unicast_ttl",
		"promote_secondaries", "linkbeat_use_polling", "accept", "no_accept", "skip_check_adv_addr",
		"strict_mode", "debug", "lvs_sync_daemon_interface", "garp_master_delay",
		"garp_master_refresh", "garp_master_repeat", "garp_master_refresh_repeat",
		"garp_lower_prio_delay", "garp_lower_prio_repeat", "down_timer_adverts", "garp_extra_if",
		"vmac_garp_intvl", "lower_prio_no_advert", "higher_prio_send_advert", "kernel_rx_buf_size",
		"no_virtual_ipaddress", "owner_ignore_adverts", "thread_timer_expired",
		"timer_expired_backup", "v3_checksum_as_v2":
		// Nothing of them is in the model.
	default:
		return false
	}
	r.instance().Settings.set(strings.Clone(keyword), pos)
	return true
}

func (r *reader) authKeyword(words []string) bool {
	in := r.instance()
	switch words[0] {
	case "auth_type":
		kind, ok := r.value(words)
		if ok && kind != "PASS" && kind != "AH" {
			r.report("auth_type %s is neither PASS nor AH; keepalived ignores it", r.quote(kind))
			ok = false
		}
		if ok {
			in.AuthType = kind
		}
	case "auth_pass":
		pass, ok := r.value(words)
		if len(pass) > maxAuthPass {
			r.report("auth_pass is longer than %d bytes; keepalived cuts it off", maxAuthPass)
			pass = pass[:maxAuthPass]
		}
		if ok {
			in.AuthPass = Secret{pass}
		}
	default:
		return false
	}
	in.Settings.set(strings.Clone(words[0]), r.pos())
	return true
}

// hmacKeyword knows the keywords of auth_hmac; their values are not kept.
func hmacKeyword(keyword string) bool {
	switch keyword {
	case "key", "active_key", "time_window", "anti_replay", "mode":
		return true
	}
	return false
}

// state reads MASTER or BACKUP; nothing else is a state, not even "master".
func (r *reader) state(in *Instance, words []string) {
	state, ok := r.value(words)
	switch {
	case !ok:
	case state == "BACKUP" && in.State == "MASTER":
		r.report("state was MASTER before; keepalived ignores BACKUP")
	case state == "MASTER" || state == "BACKUP":
		in.State = state
	default:
		r.report("unknown state %s; keepalived takes it for BACKUP", r.quote(state))
		in.State = "BACKUP"
	}
}

// version reads the VRRP version of an instance.
func (r *reader) version(in *Instance, words []string) {
	var version int
	if !r.number(&version, words, 2, 3) {
		return
	}
	if in.VRRPVersion != 0 && in.VRRPVersion != version || version == 2 && in.family == 6 {
		r.report("version %d conflicts with what was given before; keepalived ignores it", version)
		return
	}
	in.VRRPVersion = version
}

// number reads a keyword with one number.
func (r *reader) number(into *int, words []string, least, most int64) bool {
	text, ok := r.value(words)
	if !ok {
		return false
	}
	number, ok := r.integer(words[0], text, least, most)
	if ok {
		*into = int(number)
	}
	return ok
}

// pureNumber reads a keyword with one number that keepalived refuses if anything
// follows the digits; with other keywords it only warns of that.
func (r *reader) pureNumber(into *int, words []string, least, most int) {
	text, ok := r.value(words)
	if !ok {
		return
	}
	number, err := strconv.Atoi(strings.TrimLeft(text, blanks))
	if err != nil || number < least || number > most {
		r.report("%s: %s is not a number from %d to %d", words[0], r.quote(text), least, most)
		return
	}
	*into = number
}

// duration reads a keyword with one number of seconds.
func (r *reader) duration(into *time.Duration, words []string, least, most time.Duration) bool {
	text, ok := r.value(words)
	if !ok {
		return false
	}
	duration, ok := r.seconds(words[0], text, least, most)
	if ok {
		*into = duration
	}
	return ok
}

func (r *reader) interfaceName(name string) bool {
	if len(name) > maxInterfaceName {
		r.report("interface name %s is longer than %d bytes; keepalived ignores it", r.quote(name), maxInterfaceName)
		return false
	}
	return true
}

// address reads an address of the instance's family, which the first address
// decides.
func (r *reader) address(in *Instance, keyword, text string) (netip.Addr, bool) {
	addr, ok := parseAddr(text)
	if !ok {
		r.report("%s: %s is not an address; keepalived skips it", keyword, r.quote(text))
		return addr, false
	}
	return addr, r.sameFamily(in, addr, keyword)
}

func (r *reader) sameFamily(in *Instance, addr netip.Addr, keyword string) bool {
	family := 4
	if addr.Is6() {
		family = 6
	}
	if in.family == 0 {
		in.family = family
	}
	if in.family != family {
		r.report("%s: %v is IPv%d in an instance of IPv%d; keepalived skips it", keyword, addr, family, in.family)
		return false
	}
	return true
}

// parseAddr reads an address as inet_pton does: without a zone.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && addr.Zone() == ""
}

// ipvlan reads the words after use_ipvlan: a type, an address, a name.
func (r *reader) ipvlan(in *Instance, words []string) {
	for _, word := range words {
		if word == "bridge" || word == "private" || word == "vepa" {
			continue
		}
		address, _, _ := strings.Cut(word, "/")
		if addr, ok := parseAddr(address); ok {
			if r.sameFamily(in, addr, "use_ipvlan") && !in.UnicastSrcIP.IsValid() {
				in.UnicastSrcIP = addr
			}
		} else if in.vmacName == "" {
			in.vmacName = strings.Clone(word)
		}
	}
}

// vip reads a line of virtual_ipaddress or virtual_ipaddress_excluded: one
// address and its options.
func (r *reader) vip(words []string, excluded bool) {
	in := r.instance()
	keyword := "virtual_ipaddress"
	if excluded {
		keyword = "virtual_ipaddress_excluded"
	}
	text, prefix, hasPrefix := strings.Cut(words[0], "/")
	addr, ok := parseAddr(text)
	if !ok {
		r.report("%s: %s is not an address; keepalived skips it", keyword, r.quote(words[0]))
		return
	}
	vip := VIP{Pos: r.pos(), Addr: addr, Prefix: addr.BitLen(), Excluded: excluded}
	if hasPrefix {
		if bits, ok := r.integer("prefix length", prefix, 0, int64(addr.BitLen())); ok {
			vip.Prefix = int(bits)
		}
	}
	if !r.vipOptions(&vip, keyword, words[1:]) {
		return
	}
	if !excluded && !r.sameFamily(in, addr, keyword) {
		return
	}
	in.VIPs = append(in.VIPs, vip)
}

// vipOptions reads what follows the address. It returns false if keepalived
// drops the address for it.
func (r *reader) vipOptions(vip *VIP, keyword string, words []string) bool {
	drop := func(format string, args ...any) bool {
		r.report("%s: %s; keepalived drops %v", keyword, fmt.Sprintf(format, args...), vip.Addr)
		return false
	}
	hasPeer := false
	for i := 0; i < len(words); i++ {
		option, value := words[i], ""
		switch option {
		case "dev", "scope", "broadcast", "brd", "label", "peer", "preferred_lft":
			if i++; i == len(words) {
				return drop("%s has no value", option)
			}
			value = words[i]
		case "home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac",
			"track_group":
			continue
		}
		switch option {
		case "dev":
			if vip.Device != "" {
				return drop("dev is given twice")
			}
			vip.Device = strings.Clone(value)
		case "label":
			if len(value) > maxInterfaceName {
				return drop("label %s is longer than %d bytes", r.quote(value), maxInterfaceName)
			}
			if vip.Addr.Is6() {
				r.report("%s: an IPv6 address has no label; keepalived ignores it", keyword)
				continue
			}
			vip.Label = strings.Clone(value)
		case "broadcast", "brd":
			if vip.Addr.Is6() {
				return drop("an IPv6 address has no broadcast address")
			}
			if addr, ok := parseAddr(value); value != "-" && value != "+" && (!ok || !addr.Is4()) {
				return drop("%s is not a broadcast address", r.quote(value))
			}
		case "peer":
			peer, ok := parseAddr(value)
			if hasPeer || !ok || peer.Is4() != vip.Addr.Is4() {
				r.report("%s: %s is not a peer address of %v; keepalived ignores it", keyword, r.quote(value), vip.Addr)
				continue
			}
			hasPeer = true
			vip.Prefix = peer.BitLen()
		case "scope", "preferred_lft":
			// Nothing of them is in the model.
		default:
			text, _, _ := strings.Cut(option, "/")
			if _, ok := parseAddr(text); ok {
				r.report("%s: keepalived drops %s: it reads one address a line", keyword, r.quote(option))
			} else {
				r.report("%s: unknown option %s; keepalived ignores it", keyword, r.quote(option))
			}
		}
	}
	return true
}

// trackScript reads a line of track_script: a name and "weight N [reverse]".
func (r *reader) trackScript(tracks *[]Track, words []string) {
	index, ok := r.scripts[words[0]]
	if !ok {
		r.report("track_script: no vrrp_script %s is defined above; keepalived ignores it", r.quote(words[0]))
		return
	}
	script := &r.config.Scripts[index]
	track := Track{Name: script.Name, Pos: r.pos(), Weight: script.Weight, Reverse: script.Reverse}
	r.track(tracks, track, "track_script", words, 253)
}

// trackFileEntry reads a line of track_file within an instance or group.
func (r *reader) trackFileEntry(tracks *[]Track, words []string) {
	index, ok := r.trackFiles[words[0]]
	if !ok {
		r.report("track_file: no track_file %s is defined above; keepalived ignores it", r.quote(words[0]))
		return
	}
	file := &r.config.TrackFiles[index]
	track := Track{Name: file.Name, Pos: r.pos(), Weight: file.Weight, Reverse: file.Reverse}
	r.track(tracks, track, "track_file", words, 254)
}

// trackInterface reads a line of track_interface.
func (r *reader) trackInterface(tracks *[]Track, words []string) {
	r.track(tracks, Track{Name: strings.Clone(words[0]), Pos: r.pos()}, "track_interface", words, 253)
}

// track reads the options of a tracked thing and adds it. Weights beyond most
// are set to it.
func (r *reader) track(tracks *[]Track, track Track, keyword string, words []string, most int) {
	if r.tracked[trackKey{keyword, track.Name}] {
		r.report("%s: %s is there already; keepalived ignores this one", keyword, r.quote(track.Name))
		return
	}
	if len(words) > 1 {
		if words[1] != "weight" {
			r.report("%s: unknown option %s; keepalived ignores %s", keyword, r.quote(words[1]), r.quote(track.Name))
			return
		}
		if len(words) == 2 {
			r.report("%s: weight has no value; keepalived ignores %s", keyword, r.quote(track.Name))
			return
		}
		if weight, ok := r.integer(keyword+" weight", words[2], -254, 254); ok {
			track.Weight = max(min(int(weight), most), -most)
			if track.Weight != int(weight) {
				r.report("%s: weight %d is beyond %d; keepalived takes %d", keyword, weight, most, track.Weight)
			}
		}
		if len(words) > 3 {
			switch words[3] {
			case "reverse", "noreverse":
				track.Reverse = words[3] == "reverse"
			default:
				r.report("%s: unknown weight option %s; keepalived ignores it", keyword, r.quote(words[3]))
			}
		}
	}
	*tracks = append(*tracks, track)
	r.tracked[trackKey{keyword, track.Name}] = true
}
