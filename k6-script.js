// Load in stages: people arrive, stay, and leave. Set by the environment: BASE_URL, USERS (20),
// DURATION in seconds (20), OUTPUT (a folder for summary.json and report.html),
// K6_MAX_P95_MS (500), K6_MAX_ERROR_RATE (0.01).
import http from "k6/http";
import { check, sleep } from "k6";

const base = __ENV.BASE_URL || "http://127.0.0.1:8000";
const users = Number(__ENV.USERS || 20);
const seconds = Number(__ENV.DURATION || 20);
const output = __ENV.OUTPUT || ".";
const maxP95 = Number(__ENV.K6_MAX_P95_MS || 500);
const maxErrorRate = Number(__ENV.K6_MAX_ERROR_RATE || 0.01);

export const options = {
  scenarios: {
    visitors: {
      executor: "ramping-vus",
      startVUs: 1,
      stages: [
        { duration: `${Math.ceil(seconds * 0.2)}s`, target: users },
        { duration: `${Math.ceil(seconds * 0.6)}s`, target: users },
        { duration: `${Math.ceil(seconds * 0.2)}s`, target: 0 },
      ],
      gracefulRampDown: "10s",
      gracefulStop: "10s",
    },
  },
  thresholds: {
    checks: [`rate>=${1 - maxErrorRate}`],
    http_req_duration: [`p(95)<=${maxP95}`],
    http_req_failed: [`rate<=${maxErrorRate}`],
    http_reqs: ["count>0"],
  },
  summaryTrendStats: ["avg", "min", "med", "max", "p(95)", "p(99)"],
};

const params = { headers: { "Content-Type": "application/json" }, timeout: "5s" };

function is(status) {
  return { [`status is ${status}`]: (answer) => answer.status === status };
}

export default function () {
  const tagged = (name) => ({ ...params, tags: { name } });
  check(http.get(`${base}/items?limit=20`, tagged("GET /items")), is(200));
  const tea = JSON.stringify({ name: "Tea", price_cents: 350 });
  const added = http.post(`${base}/items`, tea, tagged("POST /items"));
  if (check(added, is(201))) {
    const own = `${base}/items/${added.json("id")}`;
    check(http.get(own, tagged("GET /items/{id}")), is(200));
    const coffee = JSON.stringify({ name: "Coffee", price_cents: 450 });
    check(http.put(own, coffee, tagged("PUT /items/{id}")), is(200));
    check(http.del(own, null, tagged("DELETE /items/{id}")), is(204));
  }
  sleep(0.1 + Math.random() * 0.4);
}

function escape(value) {
  const marks = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return String(value).replace(/[&<>"]/g, (mark) => marks[mark]);
}

function round(number) {
  return Math.round(number * 1000) / 1000;
}

function list(values) {
  return Object.keys(values).sort().map((key) => `${key} ${round(values[key])}`).join(", ");
}

function page(metrics, crossed) {
  const rows = Object.keys(metrics).sort().map(
    (name) => `<tr><td>${escape(name)}</td><td>${escape(list(metrics[name].values))}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>API performance</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td { border-bottom: 1px solid #ccc; padding: .3rem; vertical-align: top }
</style>
<h1>API performance</h1>
<p>${users} users for ${seconds} seconds against ${escape(base)}.
<strong>${crossed.length ? `Crossed: ${escape(crossed.join("; "))}` : "Every threshold holds."}</strong></p>
<table>
${rows.join("\n")}
</table>
</html>
`;
}

export function handleSummary(data) {
  const crossed = [];
  for (const [name, metric] of Object.entries(data.metrics)) {
    for (const [threshold, result] of Object.entries(metric.thresholds || {})) {
      if (!result.ok) {
        const value = metric.values[threshold.split(/[<>=]/)[0]];
        crossed.push(`${name} must be ${threshold}, and is ${round(value)}`);
      }
    }
  }
  const made = data.metrics.http_reqs ? data.metrics.http_reqs.values.count : 0;
  const said = crossed.map((it) => `API test failed: ${it}`);
  return {
    stdout: `${(said.length ? said : [`${made} requests, every threshold holds.`]).join("\n")}\n`,
    [`${output}/summary.json`]: JSON.stringify(data),
    [`${output}/report.html`]: page(data.metrics, crossed),
  };
}
