package main

// question is one thing that people who run a managed service provider ask of their data.
type question struct {
	Title string
	SQL   string
}

// questions are what the demo answers. They use nothing but the synced tables, the table picklists for
// labels, and DuckDB's SQL; each can be pasted into `atsync sql`.
func questions() []question {
	return []question{
		{"Which queues hold the open work, and how old is it?", `
SELECT coalesce(q.label, 'none')                                     AS queue,
       count(*)                                                      AS open_tickets,
       count(*) FILTER (t.assigned_resource_id IS NULL)              AS unassigned,
       count(*) FILTER (t.due_date_time < now())                     AS overdue,
       cast(median(date_diff('day', t.create_date, now())) AS int)   AS median_age_days
FROM tickets t
LEFT JOIN picklists q ON q.entity = 'Tickets' AND q.field = 'queueID' AND q.value = cast(t.queue_id AS varchar)
WHERE t._deleted_at IS NULL AND t.completed_date IS NULL
GROUP BY ALL
ORDER BY open_tickets DESC, queue
LIMIT 6`},
		{"Do we keep our service levels?", `
SELECT coalesce(p.label, 'none')                                                    AS priority,
       count(*)                                                                     AS tickets,
       cast(100 * avg(s.is_first_response_met::int) AS decimal(5, 1))               AS responded_in_time_pct,
       cast(100 * avg(s.is_resolution_met::int) AS decimal(5, 1))                   AS solved_in_time_pct,
       cast(median(s.resolution_elapsed_hours) AS decimal(18, 1))                   AS median_hours
FROM service_level_agreement_results s
JOIN tickets t ON t.id = s.ticket_id
LEFT JOIN picklists p ON p.entity = 'Tickets' AND p.field = 'priority' AND p.value = cast(t.priority AS varchar)
WHERE s._deleted_at IS NULL AND t._deleted_at IS NULL
GROUP BY p.label, p.sort_order
ORDER BY p.sort_order`},
		{"Who worked how much in the last 30 days, and how much of it can be billed?", `
SELECT r.first_name || ' ' || r.last_name                                                     AS technician,
       round(sum(e.hours_worked), 1)                                                          AS hours,
       cast(100 * sum(e.hours_worked) FILTER (NOT e.is_non_billable) / sum(e.hours_worked) AS int) AS billable_pct,
       count(DISTINCT e.ticket_id)                                                            AS tickets
FROM time_entries e
JOIN resources r ON r.id = e.resource_id
WHERE e._deleted_at IS NULL AND e.date_worked >= now() - INTERVAL 30 DAY
GROUP BY ALL
ORDER BY hours DESC
LIMIT 6`},
		{"What does an hour earn us, by customer?", `
WITH billed AS (
  SELECT company_id, sum(extended_price) AS revenue
  FROM billing_items
  WHERE _deleted_at IS NULL AND posted_date >= now() - INTERVAL 90 DAY
  GROUP BY company_id
), worked AS (
  SELECT t.company_id, sum(e.hours_worked) AS hours
  FROM time_entries e JOIN tickets t ON t.id = e.ticket_id
  WHERE e._deleted_at IS NULL AND e.date_worked >= now() - INTERVAL 90 DAY
  GROUP BY t.company_id
)
SELECT c.company_name AS customer,
       round(b.revenue, 2)           AS billed_90_days,
       round(w.hours, 1)             AS hours_90_days,
       cast(b.revenue / w.hours AS decimal(18, 2)) AS per_hour
FROM billed b
JOIN worked w USING (company_id)
JOIN companies c ON c.id = b.company_id
ORDER BY billed_90_days DESC
LIMIT 6`},
		{"Which customers' devices keep us busy?", `
WITH devices AS (
  SELECT company_id, count(*) AS n FROM configuration_items
  WHERE _deleted_at IS NULL AND is_active GROUP BY company_id
), hours AS (
  SELECT t.company_id, sum(e.hours_worked) AS h, count(DISTINCT t.id) AS tickets
  FROM time_entries e JOIN tickets t ON t.id = e.ticket_id
  WHERE e._deleted_at IS NULL AND e.date_worked >= now() - INTERVAL 90 DAY
  GROUP BY t.company_id
)
SELECT c.company_name AS customer, d.n AS devices, h.tickets AS tickets_90_days,
       cast(h.h / d.n AS decimal(18, 2)) AS hours_per_device
FROM hours h
JOIN devices d USING (company_id)
JOIN companies c ON c.id = h.company_id
ORDER BY hours_per_device DESC
LIMIT 6`},
	}
}
