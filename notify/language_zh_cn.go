package notify

// simplifiedChinese follows the technical usage of mainland China. States keep
// keepalived's own word beside the translation.
func simplifiedChinese() phrases {
	return phrases{
		list:    "、",
		more:    "%[1]s，另有 %[2]d 个",
		clauses: "；",

		day: "%[1]d 天", hour: "%[1]d 小时", minute: "%[1]d 分钟", second: "%[1]d 秒",

		levels: map[Level]string{Info: "信息", Warning: "警告", Critical: "严重"},
		statuses: map[string]string{
			"pass": "通过（PASS）", "warn": "通过但有警告（WARN）", "fail": "失败（FAIL）", "unknown": "无法判断（UNKNOWN）",
		},

		states: map[State]stateText{
			Master: {
				word:     "主用",
				subject:  "%[1]s 在 %[2]s 成为主用",
				headline: "%[1]s 在 %[2]s 上成为主用（MASTER）：本节点接管其虚拟 IP。",
			},
			Backup: {
				word:     "备用",
				subject:  "%[1]s 在 %[2]s 转为备用",
				headline: "%[1]s 在 %[2]s 上转为备用（BACKUP）：本节点待命，不应持有其虚拟 IP。",
			},
			Fault: {
				word:     "故障",
				subject:  "%[1]s 在 %[2]s 发生故障",
				headline: "%[1]s 在 %[2]s 上进入故障状态（FAULT）：故障排除之前，本节点无法持有其虚拟 IP。",
			},
			Stop: {
				word:     "停止",
				subject:  "%[1]s 在 %[2]s 已停止",
				headline: "%[1]s 在 %[2]s 上已停止（STOP）：本节点释放其虚拟 IP。",
			},
			Deleted: {
				word:     "已删除",
				subject:  "%[1]s 在 %[2]s 已删除",
				headline: "%[1]s 在 %[2]s 上已被删除（DELETED）：本节点不再参与。",
			},
			MasterRxLowerPri: {
				word:     "主用收到低优先级通告",
				subject:  "%[1]s 在 %[2]s 收到低优先级通告",
				headline: "%[1]s 在 %[2]s 上是主用节点（MASTER），却收到优先级更低的通告（MASTER_RX_LOWER_PRI）：另有节点也自认为是主用节点，可能发生脑裂。",
			},
			MasterPriority: {
				word:     "主用优先级变化",
				subject:  "%[1]s 在 %[2]s 优先级变化",
				headline: "%[1]s 在 %[2]s 上仍为主用（MASTER），有效优先级发生变化（MASTER_PRIORITY）。",
			},
			BackupPriority: {
				word:     "备用优先级变化",
				subject:  "%[1]s 在 %[2]s 优先级变化",
				headline: "%[1]s 在 %[2]s 上仍为备用（BACKUP），有效优先级发生变化（BACKUP_PRIORITY）。",
			},
		},
		otherState: stateText{
			subject:  "%[1]s 在 %[2]s 状态变化",
			headline: "keepalived 报告 %[1]s 在 %[2]s 上的状态为“%[3]s”，hacheck 不认识该状态。",
		},
		noState: stateText{
			word:     "状态未给出",
			subject:  "%[1]s 在 %[2]s 状态变化",
			headline: "keepalived 报告 %[1]s 在 %[2]s 上发生变化，但没有给出状态。",
		},

		group:    "同步组 %[1]s",
		noName:   "（无名称）",
		noHost:   "（未知节点）",
		noTime:   "未知",
		unstated: "未知",

		subjectFrom:      "（原为 %[1]s）",
		subjectPriority:  "（优先级 %[1]d）",
		subjectClaimed:   "（另有节点争用）",
		subjectNoVIP:     "无虚拟 IP",
		subjectUnknown:   "虚拟 IP 未知",
		subjectLingering: "，虚拟 IP 仍在本节点",
		titleLingering:   "仍在本节点",
		titleGone:        "不在本节点",
		subjectReason:    "%[1]s：%[2]s",
		titleAfter:       "%[1]s（此前持续 %[2]s）",
		titleCheck:       "检查 %[1]s %[2]s：%[3]s",

		labelInstance: "实例", labelGroup: "同步组", labelMembers: "成员", labelChange: "变化",
		labelWhen: "时间", labelNode: "节点", labelVRRP: "VRRP",
		labelCheck: "检查", labelReason: "原因", labelAge: "时效",
		labelUp: "正常（%[1]d）", labelDown: "不可用（%[1]d）", labelNotKnown: "未知（%[1]d）",
		labelError: "无应答", labelSeverity: "级别", labelEventID: "事件 ID",
		headingVIPs:    "虚拟 IP（本节点网络接口上的实际情况）",
		headingCheck:   "本节点最近一次检查",
		headingHAProxy: "本节点的 HAProxy 后端",
		headingNotes:   "未能查明的事项",
		headingNext:    "接下来查看",

		routerID:      "%[1]s（router_id %[2]s）",
		vrrpInterface: "接口 %[1]s",
		vrrpID:        "virtual_router_id %[1]d",
		vrrpPriority:  "优先级 %[1]d",

		changed:        "%[1]s → %[2]s",
		changedFrom:    "→ %[1]s",
		stays:          "仍为 %[1]s",
		lasted:         "此前 %[1]s 持续 %[2]s（自 %[3]s 起）",
		stayedFor:      "已持续 %[1]s（自 %[2]s 起）",
		lastedUnknown:  "%[1]s 持续了多久没有记录",
		lastedBackward: "记录显示 %[1]s 自 %[2]s 起，晚于本次变化：系统时钟被调整过",
		fromUnknown:    "本节点没有之前状态的记录",

		vipDevice:    "%[1]s dev %[2]s",
		vipInstance:  "属于 %[1]s",
		vipExcluded:  "不在通告中",
		vipHere:      "在本节点",
		vipHereOn:    "在本节点（%[1]s）",
		vipLingering: "仍在本节点（%[1]s）",
		vipMissing:   "（尚）不在本节点",
		vipGone:      "不在本节点，符合预期",
		vipNotKnown:  "未能查询",
		vipNone:      "无：keepalived.conf 没有为其配置虚拟 IP。",
		notKnown:     "未知。",

		checkNone:    "本节点没有保存的检查结论：检查从未在此运行，或无法写入结论。",
		reasonNone:   "未给出",
		ageBefore:    "变化发生前 %[1]s",
		ageNow:       "与变化相差不到 1 秒",
		ageAfter:     "变化发生后 %[1]s",
		ageUnknown:   "未知",
		ageStale:     "已过时：变化发生前 %[1]s，不能说明当前情况；检查是否仍在运行？",
		haproxyNone:  "未能获知 HAProxy 的情况。",
		haproxyEmpty: "HAProxy 有应答，但没有配置了服务器的后端。",
		downReason:   "%[1]s：%[2]s",
		moreDown:     "另有 %[1]d 个",

		whyMaster:          "没有其他节点发送更高优先级的通告：原主用节点发生故障、被停止或优先级降低，或者本节点恢复后优先级更高。",
		whyMasterPassing:   "本节点的检查通过。",
		whyMasterFailing:   "本节点是主用节点，但检查 %[1]s 失败：客户端会访问到可能无法提供服务的节点。原因：%[2]s",
		whyBackup:          "优先级更高的其他节点已接管，或本节点的优先级降低。",
		whyBackupPassing:   "本节点的检查通过：优先级更高的对端节点已接管或已恢复，或者 keepalived 跟踪的其他对象降低了本节点的优先级。",
		whyBackupFailing:   "本节点的检查 %[1]s 失败；如果 keepalived 以权重（weight）跟踪该检查，本节点的优先级会因此降低。原因：%[2]s",
		whyBackupRecovered: "故障已排除：需要时本节点可以再次接管。",
		whyBackupStarted:   "keepalived 已重新启动：每个实例都从备用（BACKUP）开始，如果没有优先级更高的节点，随后成为主用。",
		whyBackupFirst:     "keepalived 启动时通常如此：每个实例都从备用（BACKUP）开始，如果没有优先级更高的节点，随后成为主用。",
		whyFault:           "keepalived 不会说明原因。可能是被跟踪的脚本、接口、文件或进程失败，或者同一同步组的成员失败。",
		whyFaultPassing:    "本节点的检查通过，因此原因在于 keepalived 跟踪的其他对象：接口断开、其他脚本、文件或进程，或者同一同步组的成员。",
		whyFaultFailing:    "本节点的检查 %[1]s 失败。原因：%[2]s",
		whyStop:            "本节点的 keepalived 被停止或重启，或者节点正在关机。如果不是有意为之，请查看其日志。",
		whyStopMaster:      "此前它在本节点是主用节点，需要其他节点接管；请确认已有节点接管。",
		whyDeleted:         "keepalived 重新加载了配置，新配置中不再包含它。",
		whyClaimed:         "另一节点收不到本节点的通告（网络、防火墙、单播对端、密码），或者刚刚启动。只要两个节点都是主用节点，客户端就可能访问到其中任何一个。",
		whyPriority:        "keepalived 跟踪的对象发生了变化：脚本、接口、文件或进程。",
		whyPriorityFailing: "本节点的检查 %[1]s 失败。原因：%[2]s",

		alertLingering: "%[1]s 仍在本节点上，但状态已是 %[2]s。keepalived 可能正在移除；如果一直存在，就会有两个节点响应同一地址。",
		alertMissing:   "钩子查看时，%[1]s 不在本节点上。keepalived 当时可能正在添加；如果现在仍然没有，请查看 keepalived 的日志。",
		alertInstance:  "在 keepalived.conf 中没有找到名为 %[1]s 的 vrrp_instance，因此不知道它的地址和接口。状态变化本身以 keepalived 的报告为准。",
		alertGroup:     "在 keepalived.conf 中没有找到名为 %[1]s 的 vrrp_sync_group，因此不知道它的成员和地址。状态变化本身以 keepalived 的报告为准。",

		nextAddresses:     "本节点现在有哪些地址",
		nextKeepalivedLog: "keepalived 自己的日志",
		nextKeepalived:    "keepalived 是否已恢复运行，是谁停止的",
		nextCheck:         "重新运行检查：结论和原因",
		nextHAProxy:       "HAProxy 是否在运行",
		nextLinks:         "被跟踪的接口是否都已启用",
		nextAdverts:       "谁在发送 VRRP 通告，优先级是多少",
		nextPeer:          "在另一节点上：是否正常运行",
		nextPeerAddresses: "在另一节点上：是否持有这些地址",
		nextConfiguration: "配置了哪些实例和同步组",

		stories: simplifiedChineseStories(),
	}
}
