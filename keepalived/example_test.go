package keepalived_test

import (
	"fmt"
	"log"

	"hacheck/keepalived"
)

// A hook looks up what its event is about.
func Example() {
	event, err := keepalived.ParseArgs([]string{"GROUP", "VG1", "MASTER", "0"})
	if err != nil {
		log.Fatal(err)
	}
	config, err := keepalived.Load("testdata/field/sync/keepalived.conf", keepalived.Options{})
	if err != nil {
		log.Fatal(err)
	}
	group, ok := config.Group(event.Name)
	if !ok {
		log.Fatalf("there is no sync group %q", event.Name)
	}
	fmt.Println(event.Name, "is", event.State)
	for _, member := range group.Members {
		instance, _ := config.Instance(member)
		for _, vip := range instance.VIPs {
			fmt.Printf("%s: %v/%d on %s\n", member, vip.Addr, vip.Prefix, vip.Device)
		}
	}
	// Output:
	// VG1 is MASTER
	// VI_PUBLIC: 192.0.2.61/24 on eth0
	// VI_PUBLIC: 192.0.2.62/24 on eth0
	// VI_PUBLIC: 2001:db8::61/64 on eth0
	// VI_PRIVATE: 10.9.8.61/32 on eth1
}

// What keepalived passes over in silence has a position and a reason.
func ExampleConfig_problems() {
	config, err := keepalived.Load("testdata/example/keepalived.conf", keepalived.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, problem := range config.Problems {
		fmt.Println(problem)
	}
	// Output:
	// testdata/example/keepalived.conf:2: unknown state "master"; keepalived takes it for BACKUP
	// testdata/example/keepalived.conf:7: virtual_ipaddress: keepalived drops "192.0.2.101": it reads one address a line
	// testdata/example/keepalived.conf:10: track_script: no vrrp_script "chk_haproxy" is defined above; keepalived ignores it
}

func ExampleParseFIFO() {
	event, err := keepalived.ParseFIFO([]byte("INSTANCE \"VI_1\" MASTER 105\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(event.Kind, event.Name, event.State, event.Priority)
	// Output: INSTANCE VI_1 MASTER 105
}
