package keepalived

import (
	"strings"
	"time"
)

// globalKeyword handles a line of global_defs. All keywords of 2.2.7 to 2.4.3
// count as known; those without a field are only noted in Settings.
func (r *reader) globalKeyword(words []string) bool {
	g := &r.config.Global
	switch words[0] {
	case "router_id":
		r.text(&g.RouterID, words)
	case "notification_email":
		g.Settings.set("notification_email", r.pos())
		r.values(func(words []string) {
			for _, word := range words {
				g.NotificationEmail = append(g.NotificationEmail, strings.Clone(word))
			}
		})
		return true
	case "notification_email_from":
		r.text(&g.NotificationEmailFrom, words)
	case "smtp_server":
		r.smtpServer(words)
	case "smtp_helo_name":
		r.text(&g.SMTPHelo, words)
	case "smtp_connect_timeout":
		if text, ok := r.value(words); ok {
			if seconds, ok := r.integer(words[0], text, 0, 4294); ok {
				g.SMTPConnectTimeout = time.Duration(max(seconds, 1)) * time.Second
			}
		}
	case "smtp_alert":
		r.flag(&g.SMTPAlert, words)
	case "smtp_alert_vrrp":
		r.flag(&g.SMTPAlertVRRP, words)
	case "script_user":
		if r.text(&g.ScriptUser, words) {
			g.ScriptGroup = ""
			if len(words) > 2 {
				g.ScriptGroup = strings.Clone(words[2])
			}
		}
	case "enable_script_security":
		g.EnableScriptSecurity = true
	case "notify_fifo":
		r.fifo(&g.NotifyFIFO, words)
	case "vrrp_notify_fifo":
		r.fifo(&g.VRRPNotifyFIFO, words)
	case "lvs_notify_fifo":
		r.fifo(&g.LVSNotifyFIFO, words)
	case "vrrp_notify_priority_changes":
		r.flag(&g.VRRPNotifyPriorityChanges, words)
	case "enable_dbus":
		g.EnableDBus = true
	case "vrrp_version":
		if text, ok := r.value(words); ok {
			if version, ok := r.integer(words[0], text, 2, 3); ok {
				g.VRRPVersion = int(version)
			}
		}
	case "vrrp_strict":
		g.VRRPStrict = true
	case "dynamic_interfaces":
		g.DynamicInterfaces = true
	case "process_names", "process_name", "vrrp_process_name", "checker_process_name",
		"lvs_process_name", "bfd_process_name", "startup_script", "startup_script_timeout",
		"shutdown_script", "shutdown_script_timeout", "max_auto_priority", "min_auto_priority_delay",
		"smtp_alert_checker", "checker_log_all_failures", "no_email_faults", "default_interface",
		"disable_local_igmp", "lvs_timeouts", "lvs_flush", "lvs_flush_on_stop", "lvs_flush_onstop",
		"lvs_sync_daemon", "vrrp_mcast_group4", "vrrp_mcast_group6", "vrrp_garp_master_delay",
		"vrrp_garp_master_repeat", "vrrp_garp_master_refresh", "vrrp_garp_master_refresh_repeat",
		"vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat", "vrrp_down_timer_adverts",
		"vrrp_garp_interval", "vrrp_gna_interval", "vrrp_min_garp", "vrrp_garp_extra_if",
		"vrrp_vmac_garp_intvl", "vrrp_lower_prio_no_advert", "vrrp_higher_prio_send_advert",
		"vrrp_iptables", "vrrp_ipsets", "nftables", "nftables_priority", "nftables_ifindex",
		"nftables_ipvs", "nftables_ipvs_priority", "nftables_ipvs_start_fwmark", "nftables_counters",
		"vrrp_check_unicast_src", "vrrp_skip_check_adv_addr", "vrrp_priority", "vrrp_no_swap",
		"vrrp_rt_priority", "vrrp_cpu_affinity", "vrrp_rlimit_rttime", "vrrp_rlimit_rtime",
		"notify_fifo_script", "vrrp_notify_fifo_script", "fifo_write_vrrp_states_on_reload",
		"lvs_notify_fifo_script", "checker_priority", "checker_no_swap", "checker_rt_priority",
		"checker_cpu_affinity", "checker_rlimit_rttime", "checker_rlimit_rtime", "bfd_priority",
		"bfd_no_swap", "bfd_rt_priority", "bfd_cpu_affinity", "bfd_rlimit_rttime", "bfd_rlimit_rtime",
		"snmp_socket", "enable_traps", "enable_snmp_vrrp", "enable_snmp_keepalived", "enable_snmp_rfc",
		"enable_snmp_rfcv2", "enable_snmp_rfcv3", "enable_snmp_checker", "dbus_service_name",
		"dbus_no_interface_name", "vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs_force",
		"vrrp_netlink_monitor_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs_force",
		"process_monitor_rcv_bufs", "process_monitor_rcv_bufs_force", "lvs_netlink_cmd_rcv_bufs",
		"lvs_netlink_cmd_rcv_bufs_force", "lvs_netlink_monitor_rcv_bufs",
		"lvs_netlink_monitor_rcv_bufs_force", "rs_init_notifies", "no_checker_emails",
		"vrrp_rx_bufs_policy", "vrrp_rx_bufs_multiplier", "vrrp_startup_delay", "log_unknown_vrids",
		"vmac_prefix", "vmac_addr_prefix", "umask", "random_seed", "reload_check_config",
		"reload_time_file", "reload_repeat", "reload_file", "include_check", "config_save_dir",
		"tmp_config_directory", "data_use_instance", "iproute_etc_dir", "iproute_usr_dir",
		"json_dump_file", "json_version", "snmp_rs_stats_update_interval",
		"snmp_vs_stats_update_interval", "state_dump_file", "stats_dump_file", "use_symlink_paths",
		"v3_checksum_as_v2", "vrrp_delay_after_boot", "vrrp_owner_ignore_adverts":
		// Nothing of them is in the model.
	default:
		return false
	}
	g.Settings.set(strings.Clone(words[0]), r.pos())
	return true
}

// text reads a keyword with one value, of which the last counts.
func (r *reader) text(into *string, words []string) bool {
	text, ok := r.value(words)
	if ok {
		*into = text
	}
	return ok
}

// flag reads a keyword that is on unless it says off.
func (r *reader) flag(into *bool, words []string) {
	if on, ok := r.onOff(words); ok {
		*into = on
	}
}

// fifo reads the path of a FIFO, of which the first counts.
func (r *reader) fifo(into *string, words []string) {
	path, ok := r.value(words)
	switch {
	case !ok:
	case *into != "":
		r.report("%s is given already; keepalived ignores this one", words[0])
	default:
		*into = path
	}
}

// smtpServer reads "smtp_server HOST [PORT]".
func (r *reader) smtpServer(words []string) {
	host, ok := r.value(words)
	if !ok {
		return
	}
	server := SMTPServer{Host: host, Port: 25}
	if len(words) > 2 {
		port, ok := r.integer(words[0], words[2], 1, 65535)
		if !ok {
			return
		}
		server.Port = int(port)
	}
	r.config.Global.SMTPServer = server
}
