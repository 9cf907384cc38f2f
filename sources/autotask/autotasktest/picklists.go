package autotasktest

import (
	"strconv"
	"strings"
	"unicode"
)

// choices reads a list of "value=Label" parts between semicolons. Marks before the value: ! system,
// * default, - inactive. A part "value<parent=Label" belongs to a choice of the parent picklist.
func choices(text string) []Choice {
	var out []Choice
	for i, part := range strings.Split(text, ";") {
		left, label, _ := strings.Cut(strings.TrimSpace(part), "=")
		c := Choice{Label: label, SortOrder: i + 1}
		for {
			switch {
			case strings.HasPrefix(left, "!"):
				c.System = true
			case strings.HasPrefix(left, "*"):
				c.Default = true
			case strings.HasPrefix(left, "~"):
				c.Inactive = true
			default:
				c.Value, c.Parent, _ = strings.Cut(left, "<")
			}
			if c.Value != "" {
				break
			}
			left = left[1:]
		}
		out = append(out, c)
	}
	return out
}

// plainChoices are the choices of a picklist that the simulator knows no labels for.
func plainChoices(name string, k kind) []Choice {
	var words strings.Builder
	for i, r := range name {
		switch {
		case i == 0:
			r = unicode.ToUpper(r)
		case unicode.IsUpper(r) && !unicode.IsUpper(rune(name[i-1])):
			words.WriteByte(' ')
		}
		words.WriteRune(r)
	}
	label := strings.TrimSuffix(words.String(), " ID")
	var out []Choice
	for i := 1; i <= 3; i++ {
		c := Choice{Value: strconv.Itoa(i), Label: label + " " + strconv.Itoa(i), SortOrder: i}
		if k == kindString {
			c.Value = label + " " + strconv.Itoa(i)
		}
		out = append(out, c)
	}
	return out
}

// standardChoices returns a field's usual choices, or nil. Values without tenant-made ones are those that
// every tenant has; labels are localisable in a real tenant.
func standardChoices(entity, name string) []Choice {
	if text := ticketChoices(entity, name); text != "" {
		return choices(text)
	}
	if text := otherChoices(entity, name); text != "" {
		return choices(text)
	}
	return nil
}

func ticketChoices(entity, name string) string {
	switch entity + "." + name {
	case "Tickets.status", "Tasks.status":
		return "!*1=New;8=In Progress;14=Scheduled;!7=Waiting Customer;9=Waiting Materials;12=Waiting Vendor;13=Customer note added;11=Escalate;~10=Dispatched;!5=Complete"
	case "Tickets.ticketType":
		return "!*1=Service Request;!2=Incident;!3=Problem;!4=Change Request;!5=Alert"
	case "Tickets.source":
		return "!-2=Insourced;!-1=Client Portal;!1=Other;!*2=Phone;!4=Email;!5=Web Portal;!6=In Person/Onsite;!8=Monitoring Alert;!11=Exec Report"
	case "Tickets.ticketCategory":
		return "!1=Standard (non-editable);!2=AEM Alert;!*3=Standard;!4=Datto Alert;!5=RMA;!6=Datto Networking Alert"
	case "Tickets.queueID", "ResourceRoleQueues.queueID":
		return "!5=Client Portal;!6=Post Sale;!8=Monitoring Alert;*29682833=Level I Support;29682969=Level II Support;29683354=Field Service;29683378=Security;29683379=Administration;~29683380=Recycle Bin (old)"
	case "Tickets.priority":
		return "4=Critical;1=High;*2=Medium;3=Low"
	case "Tickets.issueType":
		return "10=Computer;11=Email;12=Network;13=Server;14=Printing;15=Telephony;16=User Administration;17=Security;18=Backup;~19=Fax"
	case "Tickets.subIssueType":
		return "101<10=Slow or frozen;102<10=Hardware failure;103<10=Software installation;104<10=Operating system;111<11=Cannot send or receive;112<11=Mailbox full;113<11=Spam;114<11=Other;121<12=No internet;122<12=Wi-Fi;123<12=VPN;124<12=Switch or firewall;131<13=Disk space;132<13=Service down;133<13=Updates;141<14=Printer offline;142<14=Toner;143<14=Other;151<15=Handset;152<15=Call quality;161<16=Password reset;162<16=New starter;163<16=Leaver;164<16=Permissions;171<17=Phishing;172<17=Malware;173<17=Multi-factor sign-in;181<18=Job failed;182<18=Restore request"
	case "Tickets.serviceLevelAgreementID", "Contracts.serviceLevelAgreementID", "ConfigurationItems.serviceLevelAgreementID",
		"Services.serviceLevelAgreementID", "ServiceBundles.serviceLevelAgreementID":
		return "*1=Standard SLA;2=Premium SLA;3=24/7 Critical Infrastructure"
	case "Tickets.changeApprovalStatus":
		return "!1=Not Assigned;!2=Assigned;!3=Requested;!4=Partially Approved;!5=Approved;!6=Rejected"
	case "Tickets.changeApprovalType":
		return "!1=All approvers must approve;!2=One approver must approve"
	case "Tickets.changeApprovalBoard":
		return "1=Change Advisory Board;2=Security Board"
	case "Tickets.creatorType", "Tickets.lastActivityPersonType", "Tasks.creatorType", "Tasks.lastActivityPersonType",
		"Tasks.completedByType", "Projects.lastActivityPersonType":
		return "!1=Resource;!2=Contact"
	case "Tickets.currentServiceThermometerRating", "Tickets.previousServiceThermometerRating":
		return "!1=Happy;!2=Neutral;!3=Unhappy"
	case "Tickets.rmaStatus":
		return "!1=Requested;!2=Authorized;!3=Denied;!4=Open;!5=On Hold;!6=Withdrawn;!7=Waiting for Customer;!8=In Progress;!9=Finished;!10=Finished (Not Returned)"
	case "Tickets.rmaType":
		return "!1=Return;!2=Repair;!3=Replace"
	case "Tickets.monitorTypeID":
		return "!1=Online Status;!2=CPU;!4=Component;!10=Disk Usage;!13=Backup;!20=Patch;!23=Antivirus;!24=Ransomware"
	case "TicketNotes.noteType", "TaskNotes.noteType":
		return "!1=Task Summary;!2=Task Detail;!*3=Task Notes;!13=Workflow Rule Note - Task;!93=Merged into;!94=Absorbed;!99=RMM Note"
	case "TicketNotes.publish", "TaskNotes.publish":
		return "!*1=All Autotask Users;!2=Internal Project Team;!4=Internal & Co-Managed"
	case "TimeEntries.timeEntryType":
		return "!2=Ticket;!5=Regular Time;!6=Task"
	case "DeletedTicketActivityLogs.typeID", "DeletedTaskActivityLogs.typeID":
		return "!1=Time Entry;!2=Note;!3=Attachment"
	}
	return ""
}

func otherChoices(entity, name string) string {
	switch entity + "." + name {
	case "Companies.companyType":
		return "!*1=Customer;!2=Lead;!3=Prospect;!4=Dead;!6=Cancellation;!7=Vendor;!8=Partner"
	case "Companies.classification":
		return "1=A client;2=B client;3=C client;200=Slow payer"
	case "Companies.marketSegmentID":
		return "29682777=Healthcare;29682778=Manufacturing;29682779=Legal;29682780=Retail;29682781=Construction;29682782=Education"
	case "Companies.territoryID":
		return "29682790=North;29682791=South;29682792=Remote"
	case "Contacts.namePrefix":
		return "!1=Mr.;!2=Mrs.;!3=Ms."
	case "CompanyNotes.actionType", "CompanyToDos.actionType":
		return "!0=Opportunity Update;!1=Phone Call;!2=Meeting;!3=General;29682776=Email;29682777=Business review"
	case "Resources.licenseType":
		return "!1=Administrator;!2=Executive;!3=Professional;!4=Team Member;!5=Time & Attendance Only;!6=Dashboard User;!7=API User;!8=Contractor;!9=Co-managed Help Desk"
	case "Resources.userType":
		return "!10=Full Access;!13=API User (system);!14=System Administrator;!15=Manager;!16=Project Manager;!17=Sales;!18=Team Member;!20=Service Desk User;!25=API User without cost"
	case "Resources.payrollType":
		return "!1=Salary;!2=Hourly;!3=Contractor;!4=Salary Non Exempt"
	case "Resources.resourceType":
		return "!*Employee=Employee;!Contractor=Contractor"
	case "Resources.locationID":
		return "*10=Head Office;11=Coastal Branch"
	case "Resources.emailTypeCode", "Resources.emailTypeCode2", "Resources.emailTypeCode3":
		return "!*PRIMARY=Primary;!HOME=Home;!OTHER=Other"
	case "Resources.dateFormat":
		return "!*MM/dd/yyyy=MM/dd/yyyy;!dd/MM/yyyy=dd/MM/yyyy;!yyyy-MM-dd=yyyy-MM-dd"
	case "Resources.timeFormat":
		return "!*hh:mm a=hh:mm a;!HH:mm=HH:mm"
	case "Resources.numberFormat":
		return "!*X,XXX.XX=X,XXX.XX;!X.XXX,XX=X.XXX,XX"
	case "Resources.travelAvailabilityPct":
		return "!0%=0%;!25%=25%;!50%=50%;!100%=100%"
	case "Resources.gender":
		return "!F=Female;!M=Male;!X=Other"
	case "Contracts.contractType":
		return "!1=Time & Materials;!3=Fixed Price;!4=Block Hours;!6=Retainer;!*7=Recurring Service;!8=Per Ticket"
	case "Contracts.status":
		return "!0=Inactive;!*1=Active"
	case "Contracts.contractCategory":
		return "12=Managed Services;13=Project;14=Hosting"
	case "Contracts.contractPeriodType", "Services.periodType", "ServiceBundles.periodType", "Products.periodType", "QuoteItems.periodType":
		return "!1=One-Time;!*2=Monthly;!3=Quarterly;!4=Semi-Annual;!5=Yearly"
	case "Contracts.billingPreference":
		return "!1=Immediately Without Review;!*2=Manually After Review;!3=On Timesheet Approval"
	}
	return moneyChoices(entity, name)
}

func moneyChoices(entity, name string) string {
	switch entity + "." + name {
	case "BillingCodes.useType":
		return "!1=General Allocation Code;!2=Internal Allocation Code;!3=Expense Category;!4=Material Cost Code;!5=Recurring Contract Service Code;!6=Milestone Code"
	case "BillingCodes.billingCodeType":
		return "!0=Normal;!1=System;!2=Non-Billable"
	case "BillingItems.billingItemType":
		return "!1=Labor;!2=Cost;!3=Expense;!4=Subscription;!5=Recurring Service;!6=Milestone;!7=Project Cost;!8=Recurring Service Bundle"
	case "BillingItems.subType":
		return "!1=Ticket Labor;!2=Project Labor;!3=Ticket Charge;!4=Project Charge;!5=Contract Charge;!6=Expense;!7=Recurring Service;!8=Recurring Service Bundle"
	case "Invoices.paymentTerm", "Quotes.paymentTerm":
		return "1=Net 30;2=Net 14;3=Due on receipt"
	case "Invoices.invoiceStatus":
		return "!-3=Void;!0=Not sent;!1=Sent;!2=Paid"
	case "ContractCharges.chargeType", "TicketCharges.chargeType", "ProjectCharges.chargeType":
		return "!*1=Operational;!2=Capitalized"
	case "ContractCharges.status", "TicketCharges.status", "ProjectCharges.status":
		return "!1=Need to Order/Fulfill;!2=On Order;!3=Ready to Deliver/Ship;!4=Delivered/Shipped Full;!7=Canceled;!8=Waiting Approval"
	case "ContractBlocks.paymentType":
		return "1=Invoice;2=Credit Card;3=Check"
	case "ContractBlocks.status":
		return "!0=Inactive;!1=Active"
	case "Opportunities.status":
		return "!0=Not Ready to Buy;!1=Active;!2=Lost;!3=Closed;!4=Implemented"
	case "Opportunities.stage":
		return "29682800=Qualification;29682801=Assessment;29682802=Proposal;29682803=Negotiation;29682804=Closing"
	case "Opportunities.leadSource":
		return "1=Referral;2=Website;3=Trade show;4=Cold call"
	case "Opportunities.rating":
		return "1=Hot;2=Warm;3=Cold"
	case "QuoteItems.quoteItemType":
		return "!1=Product;!2=Cost;!3=Labor;!4=Expense;!6=Shipping;!11=Service;!12=Service Bundle"
	case "Projects.status":
		return "!0=Inactive;!*1=New;10=In Progress;11=Waiting Customer;!5=Complete"
	case "Projects.projectType":
		return "!2=Proposal;!3=Template;!4=Internal;!*5=Client;!8=Baseline"
	case "Tasks.taskType":
		return "!*1=Fixed Work;!2=Fixed Duration"
	case "Tasks.priorityLabel":
		return "1=High;*2=Normal;3=Low"
	case "ServiceCalls.status":
		return "!*1=New;2=Confirmed;3=Canceled;4=Complete"
	case "ExpenseReports.status":
		return "!1=In Progress;!2=Submitted;!3=Rejected;!4=Approved;!5=Paid"
	case "ExpenseItems.expenseCategory":
		return "1=Mileage;2=Meals;3=Hotel;4=Parking;5=Materials"
	case "ExpenseItems.paymentType":
		return "1=Cash;2=Company Card;3=Personal Card"
	case "Products.billingType":
		return "!1=One-Time;!2=Monthly"
	case "Products.productCategory":
		return "1=Workstations;2=Servers;3=Networking;4=Licences;5=Peripherals"
	case "Products.priceCostMethod":
		return "!1=Default;!2=Average Cost"
	case "UserDefinedFieldDefinitions.udfType":
		return "!1=Company;!2=Contact;!3=Opportunity;!4=Sales Order;!5=Contract;!6=Site Configuration;!7=Configuration Item;!8=Product;" +
			"!9=Service;!10=Service Bundle;!11=Subscription;!12=Ticket;!13=Task;!14=Project"
	case "UserDefinedFieldDefinitions.dataType":
		return "!1=Text (Single Line);!2=Text (Multi Line);!3=Number;!4=Date/Time;!5=List"
	case "UserDefinedFieldDefinitions.displayFormat":
		return "!1=Single;!2=Multiple"
	}
	return ""
}
