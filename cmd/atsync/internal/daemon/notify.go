package daemon

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// notifier tells systemd how the process stands (sd_notify): a datagram to the socket that NOTIFY_SOCKET names. Without
// that variable it does nothing. What can't be sent is lost: the service manager then acts by its own timeouts.
type notifier struct {
	socket   string
	watchdog time.Duration // within which the manager wants to hear; 0: never
}

func newNotifier(environ []string) *notifier {
	n := &notifier{}
	for _, pair := range environ {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "NOTIFY_SOCKET":
			n.socket = value
		case "WATCHDOG_USEC":
			if usec, err := strconv.ParseInt(value, 10, 64); err == nil && usec > 0 {
				n.watchdog = time.Duration(usec) * time.Microsecond
			}
		}
	}
	return n
}

func (n *notifier) ready()     { n.send("READY=1") }
func (n *notifier) stopping()  { n.send("STOPPING=1") }
func (n *notifier) reloading() { n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic())) }

// watch sends the watchdog's sign of life, twice as often as is wanted, as long as alive says so. The function it returns
// ends that.
func (n *notifier) watch(alive func() bool) (stop func()) {
	if n.socket == "" || n.watchdog <= 0 {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(n.watchdog / 2)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if alive() {
					n.send("WATCHDOG=1")
				}
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

func (n *notifier) send(state string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"}) // a name that starts with @ is an abstract one
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(state)) // see notifier
	_ = conn.Close()
}
