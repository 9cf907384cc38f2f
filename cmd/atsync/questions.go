package main

// question is one thing that people who run a managed service provider ask of their data.
type question struct {
	Title string
	SQL   string
}

// questions are what the demo answers. They use nothing but the views of the synced tables and DuckDB's SQL; each can
// be pasted into `atsync sql`.
func questions() []question {
	return []question{
		{"Which queues hold the open work, and how old is it?", `
SELECT coalesce(queue_label, 'none')                               AS queue,
       count(*)                                                    AS open_tickets,
       count(*) FILTER (assigned_resource_id IS NULL)              AS unassigned,
       count(*) FILTER (due_date_time < now())                     AS overdue,
       cast(median(date_diff('day', create_date, now())) AS int)   AS median_age_days
FROM v_tickets
WHERE completed_date IS NULL
GROUP BY ALL
ORDER BY open_tickets DESC, queue
LIMIT 6`},
		{"Do we keep our service levels?", `
SELECT coalesce(t.priority_label, 'none')                                           AS priority,
       count(*)                                                                     AS tickets,
       cast(100 * avg(s.is_first_response_met::int) AS decimal(5, 1))               AS responded_in_time_pct,
       cast(100 * avg(s.is_resolution_met::int) AS decimal(5, 1))                   AS solved_in_time_pct,
       cast(median(s.resolution_elapsed_hours) AS decimal(18, 1))                   AS median_hours
FROM v_service_level_agreement_results s
JOIN v_tickets t ON t.id = s.ticket_id
LEFT JOIN picklists p ON p.entity = 'Tickets' AND p.column_name = 'priority' AND p.value = cast(t.priority AS varchar)
GROUP BY t.priority_label, p.sort_order
ORDER BY p.sort_order`},
		{"Who worked how much in the last 30 days, and how much of it can be billed?", `
SELECT resource_name                                                                     AS technician,
       round(sum(hours_worked), 1)                                                       AS hours,
       cast(100 * sum(hours_worked) FILTER (NOT is_non_billable) / sum(hours_worked) AS int) AS billable_pct,
       count(DISTINCT ticket_id)                                                         AS tickets
FROM v_time_entries
WHERE date_worked >= current_date - 30
GROUP BY ALL
ORDER BY hours DESC
LIMIT 6`},
		{"What does an hour earn us, by customer?", `
WITH billed AS (
  SELECT company_id, company_name, sum(extended_price) AS revenue
  FROM v_billing_items
  WHERE posted_date >= current_date - 90
  GROUP BY ALL
), worked AS (
  SELECT t.company_id, sum(e.hours_worked) AS hours
  FROM v_time_entries e JOIN tickets t ON t.id = e.ticket_id
  WHERE e.date_worked >= current_date - 90
  GROUP BY t.company_id
)
SELECT b.company_name                AS customer,
       round(b.revenue, 2)           AS billed_90_days,
       round(w.hours, 1)             AS hours_90_days,
       cast(b.revenue / w.hours AS decimal(18, 2)) AS per_hour
FROM billed b
JOIN worked w USING (company_id)
ORDER BY billed_90_days DESC
LIMIT 6`},
		{"Which customers' devices keep us busy?", `
WITH devices AS (
  SELECT company_id, company_name, count(*) AS n
  FROM v_configuration_items WHERE is_active GROUP BY ALL
), hours AS (
  SELECT t.company_id, sum(e.hours_worked) AS h, count(DISTINCT t.id) AS tickets
  FROM v_time_entries e JOIN tickets t ON t.id = e.ticket_id
  WHERE e.date_worked >= current_date - 90
  GROUP BY t.company_id
)
SELECT d.company_name AS customer, d.n AS devices, h.tickets AS tickets_90_days,
       cast(h.h / d.n AS decimal(18, 2)) AS hours_per_device
FROM hours h
JOIN devices d USING (company_id)
ORDER BY hours_per_device DESC
LIMIT 6`},
	}
}
