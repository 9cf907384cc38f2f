package autotasktest

import (
	"fmt"
	"strings"
)

// ticketQueues are the queues that people work in.
var ticketQueues = [...]int64{29682833, 29682969, 29683354, 29683378, 29683379, 8}

var firstNames = []string{"James", "Mary", "Robert", "Patricia", "Jürgen", "Aoife", "Linda", "José", "Fatima", "Wei", "Olga", "Sören",
	"Emma", "Liam", "Noah", "Zoë", "Priya", "Ahmed", "Chloé", "Mateus", "Björk", "Yuki", "Hannah", "Łukasz", "Siobhán", "Tom", "Ana", "Viktor"}

var lastNames = []string{"Smith", "O'Brien", "Müller", "García", "Johnson", "Nguyễn", "Schäfer", "Williams", "Kowalski", "Brown", "Dubois",
	"Jones", "Fernández", "Miller", "Ångström", "Davis", "Rossi", "Weiß", "Patel", "Kim", "Novák", "Taylor", "van den Berg", "Işık", "Lee"}

var cities = []string{"Albany", "Springfield", "Köln", "Portland", "São Paulo", "Galway", "Fargo", "Łódź", "Austin", "Zürich"}

var companyStems = []string{"Sirius Cybernetics", "Harbor View Dental", "Acme Tooling", "Blue Ridge Legal", "Müller & Söhne", "Green Valley Farms",
	"Pinecrest Academy", "Lakeside Clinic", "Ironworks", "O'Malley Construction", "Café Zürich", "Northern Lights Media", "Tall Oaks Realty",
	"Riverside Logistics", "\"The Print Shop\"", "Summit Outfitters", "Old Mill Brewery", "Delta Air Filters", "Eastgate Insurance", "Vista Optics"}

var companyForms = []string{"Inc.", "LLC", "GmbH", "Ltd", "Corporation", "Group", "& Co."}

func (g *generator) companyName(i int) string {
	name := companyStems[i%len(companyStems)] + " " + companyForms[(i/3)%len(companyForms)]
	if n := i / len(companyStems); n > 0 {
		name = fmt.Sprintf("%s (%s %d)", name, cities[n%len(cities)], n+1)
	}
	return name
}

func domainOf(name string, i int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(ascii(name)) {
		if r >= 'a' && r <= 'z' {
			b.WriteRune(r)
		}
	}
	return fmt.Sprintf("%.18s%d.example", b.String(), i)
}

// ascii strips accents and drops what is then not ASCII.
func ascii(s string) string {
	s = strings.NewReplacer("ü", "ue", "ö", "oe", "ä", "ae", "ß", "ss", "é", "e", "í", "i", "ë", "e", "á", "a", "Ł", "L", "ł", "l",
		"ñ", "n", "Å", "A", "ễ", "e", "ş", "s", "ı", "i", "'", "", " ", "").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < 128 {
			return r
		}
		return -1
	}, s)
}

func (g *generator) street() string {
	return fmt.Sprintf("%d %s", 1+g.r.IntN(990), pick(g, []string{"Main St", "Industrieweg", "Harbour Rd", "5th Avenue", "Rue de l'Église", "Bahnhofstraße"}))
}

// issue is a kind of ticket.
type issue struct {
	issue, sub int64
	titles     []string
}

var issues = []issue{
	{10, 101, []string{"PC very slow since this morning", "Laptop freezes when docking", "Computer hangs at login 😡"}},
	{10, 102, []string{"Laptop screen broken", "Docking station dead", "Keyboard: \"ß\" key does not work"}},
	{10, 103, []string{"Install Adobe Acrobat", "Please install AutoCAD on 3 machines", "Software request – Visio"}},
	{10, 104, []string{"Blue screen after update", "Windows will not activate"}},
	{11, 111, []string{"Outlook does not send", "Cannot receive mail from supplier", "Mails stuck in outbox"}},
	{11, 112, []string{"Mailbox almost full", "Archive old mail"}},
	{11, 113, []string{"Spam wave in shared mailbox", "Quarantine: please release mail"}},
	{12, 121, []string{"No internet at branch", "Internet down – whole office 🔥"}},
	{12, 122, []string{"Wi-Fi drops in meeting room", "Guest Wi-Fi password"}},
	{12, 123, []string{"VPN will not connect from home", "VPN: error 809"}},
	{12, 124, []string{"Switch port dead", "Firewall rule for new scanner"}},
	{13, 131, []string{"Disk space low on SRV-FILE01", "C: below 5 % on server"}},
	{13, 132, []string{"SQL service stopped", "Print spooler down", "ERP server not reachable"}},
	{13, 133, []string{"Monthly patching", "Reboot pending on DC02"}},
	{14, 141, []string{"Printer offline", "Cannot print PDF/A from ERP"}},
	{14, 142, []string{"Toner for \"Lager\" printer", "Order toner"}},
	{15, 151, []string{"Headset not recognised", "Desk phone shows \"Unregistered\""}},
	{16, 161, []string{"Password reset", "Account locked", "User cannot log in"}},
	{16, 162, []string{"New starter on Monday", "Onboarding: 2 new employees"}},
	{16, 163, []string{"Leaver: please disable account", "Offboarding"}},
	{16, 164, []string{"Access to folder \\\\SRV\\Finance", "Permission for shared calendar"}},
	{17, 171, []string{"Phishing mail clicked", "Suspicious mail – please check"}},
	{17, 173, []string{"New phone, MFA does not work", "Authenticator reset"}},
	{18, 181, []string{"Backup job failed", "Backup: VSS error", "Cloud backup 48 h overdue"}},
	{18, 182, []string{"Restore deleted folder", "Restore file from last week"}},
}

var sentences = []string{
	"Since this morning nothing works any more.", "It says \"Access denied\" when I try to open it.",
	"Rebooting did not help.", "This affects the whole team on the 2nd floor.", "It is urgent, we have a deadline today!",
	"I attached a screenshot.", "Could you please call me back before noon?", "The error code is 0x80070005.",
	"It worked yesterday; nobody changed anything as far as I know.", "Path: C:\\Users\\Public\\Documents",
	"Bitte um Rückmeldung, danke für die schnelle Hilfe.", "We are at the branch office, extension 214.",
	"Same problem as last month, see the previous ticket.", "Thanks a lot 👍", "Je ne peux pas ouvrir l'application depuis ce matin.",
	"The printer in the hallway is affected too.", "I can be reached by mobile only.", "No hurry – next week is fine.",
}

var workNotes = []string{
	"Called user, no answer, left voicemail.", "Connected remotely and restarted the service.", "Checked event log: Event ID 1001.",
	"Waiting for parts from the vendor (ETA Thursday).", "Replaced the power supply and tested.", "Updated driver and rebooted.",
	"User confirmed that it works again. ✅", "Escalated to level II.", "Reset password and walked user through MFA set-up.",
	"Created mailbox rule; monitored for 30 min.", "Ran chkdsk & sfc /scannow, no errors.", "Durchwahl geprüft, Leitung neu gepatcht.",
	"Restored from last night's backup.", "Adjusted NTFS permissions <Finance_RW>.", "Opened case with vendor, no. 4471-B.",
}

// paragraph joins n sentences from list.
func (g *generator) paragraph(list []string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			if g.r.IntN(4) == 0 {
				b.WriteByte('\n')
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(pick(g, list))
	}
	return b.String()
}

// request is what a customer writes: a greeting, some sentences and a signature.
func (g *generator) request(name string) string {
	return "Hi team,\r\n\r\n" + g.paragraph(sentences, 1+g.r.IntN(6)) + "\r\n\r\nKind regards\r\n" + name
}

// dump is the log file that somebody pasted: some ten thousand characters.
func (g *generator) dump() string {
	var b strings.Builder
	for i := 0; b.Len() < 10000; i++ {
		fmt.Fprintf(&b, "2026-01-%02d %02d:%02d:%02d.%03d\t[%d]\tERROR\t\"svc-%d\" failed: 0x%08X – retry in %d s\r\n",
			1+i%28, i%24, i%60, i*7%60, i*37%1000, 1000+g.r.IntN(9000), i%40, g.r.Uint32(), 5*(1+i%6))
	}
	return b.String()
}
