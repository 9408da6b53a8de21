package notify

// traditionalChinese follows the technical usage of Taiwan. States keep
// keepalived's own word beside the translation.
func traditionalChinese() phrases {
	return phrases{
		list:    "、",
		more:    "%[1]s，另有 %[2]d 個",
		clauses: "；",

		day: "%[1]d 天", hour: "%[1]d 小時", minute: "%[1]d 分鐘", second: "%[1]d 秒",

		levels: map[Level]string{Info: "資訊", Warning: "警告", Critical: "嚴重"},
		statuses: map[string]string{
			"pass": "通過（PASS）", "warn": "通過但有警告（WARN）", "fail": "失敗（FAIL）", "unknown": "無法判斷（UNKNOWN）",
		},

		states: map[State]stateText{
			Master: {
				word:     "主要",
				subject:  "%[1]s 在 %[2]s 成為主要節點",
				headline: "%[1]s 在 %[2]s 上成為主要節點（MASTER）：本節點接手其虛擬 IP。",
			},
			Backup: {
				word:     "備援",
				subject:  "%[1]s 在 %[2]s 轉為備援",
				headline: "%[1]s 在 %[2]s 上轉為備援（BACKUP）：本節點待命，不應持有其虛擬 IP。",
			},
			Fault: {
				word:     "故障",
				subject:  "%[1]s 在 %[2]s 發生故障",
				headline: "%[1]s 在 %[2]s 上進入故障狀態（FAULT）：故障排除之前，本節點無法持有其虛擬 IP。",
			},
			Stop: {
				word:     "停止",
				subject:  "%[1]s 在 %[2]s 已停止",
				headline: "%[1]s 在 %[2]s 上已停止（STOP）：本節點釋出其虛擬 IP。",
			},
			Deleted: {
				word:     "已刪除",
				subject:  "%[1]s 在 %[2]s 已刪除",
				headline: "%[1]s 在 %[2]s 上已被刪除（DELETED）：本節點不再參與。",
			},
			MasterRxLowerPri: {
				word:     "主要收到低優先權通告",
				subject:  "%[1]s 在 %[2]s 收到低優先權通告",
				headline: "%[1]s 在 %[2]s 上是主要節點（MASTER），卻收到優先權較低的通告（MASTER_RX_LOWER_PRI）：另有節點也自認為是主要節點，可能發生腦裂（split brain）。",
			},
			MasterPriority: {
				word:     "主要優先權變更",
				subject:  "%[1]s 在 %[2]s 優先權變更",
				headline: "%[1]s 在 %[2]s 上仍為主要節點（MASTER），有效優先權已變更（MASTER_PRIORITY）。",
			},
			BackupPriority: {
				word:     "備援優先權變更",
				subject:  "%[1]s 在 %[2]s 優先權變更",
				headline: "%[1]s 在 %[2]s 上仍為備援（BACKUP），有效優先權已變更（BACKUP_PRIORITY）。",
			},
		},
		otherState: stateText{
			subject:  "%[1]s 在 %[2]s 狀態變更",
			headline: "keepalived 回報 %[1]s 在 %[2]s 上的狀態為「%[3]s」，hacheck 不認得這個狀態。",
		},
		noState: stateText{
			word:     "未提供狀態",
			subject:  "%[1]s 在 %[2]s 狀態變更",
			headline: "keepalived 回報 %[1]s 在 %[2]s 上發生變更，但沒有提供狀態。",
		},

		group:    "同步群組 %[1]s",
		noName:   "（無名稱）",
		noHost:   "（未知節點）",
		noTime:   "不明",
		unstated: "不明",

		subjectFrom:      "（原為 %[1]s）",
		subjectPriority:  "（優先權 %[1]d）",
		subjectClaimed:   "（另有節點爭用）",
		subjectNoVIP:     "無虛擬 IP",
		subjectUnknown:   "虛擬 IP 不明",
		subjectLingering: "，虛擬 IP 仍在本節點",
		titleLingering:   "仍在本節點",
		titleGone:        "不在本節點",
		subjectReason:    "%[1]s：%[2]s",
		titleAfter:       "%[1]s（先前持續 %[2]s）",
		titleCheck:       "檢查 %[1]s %[2]s：%[3]s",

		labelInstance: "執行個體", labelGroup: "同步群組", labelMembers: "成員", labelChange: "變更",
		labelWhen: "時間", labelNode: "節點", labelVRRP: "VRRP",
		labelCheck: "檢查", labelReason: "原因", labelAge: "時效",
		labelUp: "正常（%[1]d）", labelDown: "無法使用（%[1]d）", labelNotKnown: "不明（%[1]d）",
		labelError: "無回應", labelSeverity: "等級", labelEventID: "事件 ID",
		headingVIPs:    "虛擬 IP（本節點網路介面上的實際情況）",
		headingCheck:   "本節點最近一次檢查",
		headingHAProxy: "本節點的 HAProxy 後端",
		headingNotes:   "無法查明的事項",
		headingNext:    "接下來查看",

		routerID:      "%[1]s（router_id %[2]s）",
		vrrpInterface: "介面 %[1]s",
		vrrpID:        "virtual_router_id %[1]d",
		vrrpPriority:  "優先權 %[1]d",

		changed:        "%[1]s → %[2]s",
		changedFrom:    "→ %[1]s",
		stays:          "仍為 %[1]s",
		lasted:         "先前 %[1]s 持續 %[2]s（自 %[3]s 起）",
		stayedFor:      "已持續 %[1]s（自 %[2]s 起）",
		lastedUnknown:  "%[1]s 持續了多久沒有紀錄",
		lastedBackward: "紀錄顯示 %[1]s 自 %[2]s 起，晚於這次變更：系統時鐘曾被調整",
		fromUnknown:    "本節點沒有先前狀態的紀錄",

		vipDevice:    "%[1]s dev %[2]s",
		vipInstance:  "屬於 %[1]s",
		vipExcluded:  "不在通告中",
		vipHere:      "在本節點",
		vipHereOn:    "在本節點（%[1]s）",
		vipLingering: "仍在本節點（%[1]s）",
		vipMissing:   "（尚）不在本節點",
		vipGone:      "不在本節點，符合預期",
		vipNotKnown:  "無法查詢",
		vipNone:      "無：keepalived.conf 沒有為它設定虛擬 IP。",
		notKnown:     "不明。",

		checkNone:    "本節點沒有保存的檢查結論：檢查從未在此執行，或無法寫入結論。",
		reasonNone:   "未提供",
		ageBefore:    "變更發生前 %[1]s",
		ageNow:       "與變更相差不到 1 秒",
		ageAfter:     "變更發生後 %[1]s",
		ageUnknown:   "不明",
		ageStale:     "已過時：變更發生前 %[1]s，無法說明目前情況；檢查是否仍在執行？",
		haproxyNone:  "無法得知 HAProxy 的情況。",
		haproxyEmpty: "HAProxy 有回應，但沒有設定了伺服器的後端。",
		downReason:   "%[1]s：%[2]s",
		moreDown:     "另有 %[1]d 個",

		whyMaster:          "沒有其他節點送出優先權更高的通告：原主要節點發生故障、被停止或優先權降低，或者本節點恢復後優先權更高。",
		whyMasterPassing:   "本節點的檢查通過。",
		whyMasterFailing:   "本節點是主要節點，但檢查 %[1]s 失敗：用戶端會連到可能無法提供服務的節點。原因：%[2]s",
		whyBackup:          "優先權更高的其他節點已接手，或本節點的優先權降低。",
		whyBackupPassing:   "本節點的檢查通過：優先權更高的對端節點已接手或已恢復，或者 keepalived 追蹤的其他項目降低了本節點的優先權。",
		whyBackupFailing:   "本節點的檢查 %[1]s 失敗；若 keepalived 以權重（weight）追蹤該檢查，本節點的優先權會因此降低。原因：%[2]s",
		whyBackupRecovered: "故障已排除：需要時本節點可以再次接手。",
		whyBackupStarted:   "keepalived 已重新啟動：每個執行個體都從備援（BACKUP）開始，若沒有優先權更高的節點，隨後成為主要節點。",
		whyBackupFirst:     "keepalived 啟動時通常如此：每個執行個體都從備援（BACKUP）開始，若沒有優先權更高的節點，隨後成為主要節點。",
		whyFault:           "keepalived 不會說明原因。可能是被追蹤的指令碼、介面、檔案或程序失敗，或者同一同步群組的成員失敗。",
		whyFaultPassing:    "本節點的檢查通過，因此原因在於 keepalived 追蹤的其他項目：介面斷線、其他指令碼、檔案或程序，或者同一同步群組的成員。",
		whyFaultFailing:    "本節點的檢查 %[1]s 失敗。原因：%[2]s",
		whyStop:            "本節點的 keepalived 被停止或重新啟動，或者節點正在關機。若非刻意為之，請查看其日誌。",
		whyStopMaster:      "先前它在本節點是主要節點，需要其他節點接手；請確認已有節點接手。",
		whyDeleted:         "keepalived 重新載入了設定，新的設定中不再包含它。",
		whyClaimed:         "另一節點收不到本節點的通告（網路、防火牆、單播對端、密碼），或者剛剛啟動。只要兩個節點都是主要節點，用戶端就可能連到其中任何一個。",
		whyPriority:        "keepalived 追蹤的項目發生了變化：指令碼、介面、檔案或程序。",
		whyPriorityFailing: "本節點的檢查 %[1]s 失敗。原因：%[2]s",

		alertLingering: "%[1]s 仍在本節點上，但狀態已是 %[2]s。keepalived 可能正在移除；若一直存在，就會有兩個節點回應同一位址。",
		alertMissing:   "hook 查看時，%[1]s 不在本節點上。keepalived 當時可能正在新增；若現在仍然沒有，請查看 keepalived 的日誌。",
		alertInstance:  "在 keepalived.conf 中找不到名為 %[1]s 的 vrrp_instance，因此不知道它的位址和介面。狀態變更本身以 keepalived 的回報為準。",
		alertGroup:     "在 keepalived.conf 中找不到名為 %[1]s 的 vrrp_sync_group，因此不知道它的成員和位址。狀態變更本身以 keepalived 的回報為準。",

		nextAddresses:     "本節點現在有哪些位址",
		nextKeepalivedLog: "keepalived 自己的日誌",
		nextKeepalived:    "keepalived 是否已恢復執行，是誰停止的",
		nextCheck:         "重新執行檢查：結論和原因",
		nextHAProxy:       "HAProxy 是否在執行",
		nextLinks:         "被追蹤的介面是否都已啟用",
		nextAdverts:       "誰在送出 VRRP 通告，優先權是多少",
		nextPeer:          "在另一節點上：是否正常運作",
		nextPeerAddresses: "在另一節點上：是否持有這些位址",
		nextConfiguration: "設定了哪些執行個體和同步群組",

		stories: traditionalChineseStories(),
	}
}
