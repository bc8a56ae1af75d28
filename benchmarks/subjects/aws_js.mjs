// AWS's own SDK for JavaScript, on the same recording service as the others (benchmarks/stub.py), written again
// for its process: node aws_js.mjs WORKLOAD [--audit]. Prints one line of JSON.

import { performance } from "node:perf_hooks";
import { withDurableExecution } from "@aws/durable-execution-sdk-js";

const ARN =
  "arn:aws:lambda:us-east-1:123456789012:function:bench:$LATEST/durable-execution/bench/0123456789abcdef";
const MOST_UPDATES = 250;
const ENDS = { SUCCEED: "SUCCEEDED", FAIL: "FAILED", CANCEL: "CANCELLED" };
const DETAILS = { STEP: "StepDetails", CONTEXT: "ContextDetails", WAIT: "WaitDetails", CALLBACK: "CallbackDetails" };
const FORTY_CHARACTERS = "0123456789012345678901234567890123456789";
const workload = JSON.parse(process.argv[2]);
const isAudit = process.argv.includes("--audit");

class Void extends Error {}

class Service {
  calls = 0;
  updates = 0;
  sent_bytes = 0;
  finished = {};
  records = new Map();
  open = new Map();
  visible = [];
  token = 0;
  inFlight = false;

  get tokenText() {
    return `token${String(this.token).padStart(8, "0")}`;
  }

  receive(request) {
    if (this.inFlight) throw new Void("two checkpoint calls overlap");
    if (request.CheckpointToken !== this.tokenText) throw new Void(`stale token ${request.CheckpointToken}`);
    this.inFlight = true;
    const updates = request.Updates ?? [];
    if (updates.length > MOST_UPDATES) throw new Void(`${updates.length} updates in one request`);
    this.calls += 1;
    this.updates += updates.length;
    if (isAudit) this.sent_bytes += Buffer.byteLength(JSON.stringify(request));
  }

  answer(request) {
    const told = [];
    for (const update of request.Updates ?? []) {
      const isOpen = this.open.get(update.Id);
      const isStart = update.Action === "START";
      if (isStart && isOpen !== undefined) throw new Void(`${update.Type} ${update.Id} was started twice`);
      if (!isStart && isOpen === false) throw new Void(`${update.Type} ${update.Id} was changed after its end`);
      if (!isStart) this.finished[update.Type] = (this.finished[update.Type] ?? 0) + 1;
      this.open.set(update.Id, isStart);
      if (update.Type !== "EXECUTION") told.push(this.record(update));
    }
    this.token += 1;
    this.inFlight = false;
    return { CheckpointToken: this.tokenText, NewExecutionState: { Operations: told } };
  }

  record(update) {
    const now = new Date();
    const record = { ...(this.records.get(update.Id) ?? { Id: update.Id, Type: update.Type, StartTimestamp: now }) };
    record.Status = update.Action === "START" ? "STARTED" : ENDS[update.Action];
    for (const member of ["ParentId", "Name", "SubType"]) {
      if (update[member] !== undefined) record[member] = update[member];
    }
    if (update.Action !== "START") record.EndTimestamp = now;
    const details = { ...(record[DETAILS[update.Type]] ?? {}) };
    if (update.Type === "CALLBACK") details.CallbackId = Buffer.from(update.Id).toString("base64");
    if (update.Type === "WAIT" && update.Action === "START") {
      details.ScheduledEndTimestamp = new Date(now.getTime() + update.WaitOptions.WaitSeconds * 1000);
    }
    if (update.Payload !== undefined) details.Result = update.Payload;
    if (update.Type === "STEP") details.Attempt = 1;
    if (update.ContextOptions?.ReplayChildren) details.ReplayChildren = true;
    record[DETAILS[update.Type]] = details;
    this.records.set(update.Id, record);
    return record;
  }

  skipWaits() {
    for (const record of this.records.values()) {
      if (record.Type === "WAIT" && record.Status === "STARTED") {
        record.Status = "SUCCEEDED";
        record.EndTimestamp = record.WaitDetails.ScheduledEndTimestamp;
        this.open.set(record.Id, false);
      }
    }
  }

  isInside(record, closed) {
    let parent = record.ParentId;
    while (parent !== undefined) {
      if (closed.has(parent)) return true;
      parent = this.records.get(parent)?.ParentId;
    }
    return false;
  }

  event() {
    const closed = new Set();
    for (const r of this.records.values()) {
      if (r.Type === "CONTEXT" && r.Status !== "STARTED" && !r.ContextDetails.ReplayChildren) closed.add(r.Id);
    }
    this.visible = [...this.records.values()].filter((r) => !this.isInside(r, closed));
    const execution = {
      Id: ARN.slice(ARN.lastIndexOf("/") + 1),
      Type: "EXECUTION",
      Status: "STARTED",
      StartTimestamp: Date.now(),
      ExecutionDetails: { InputPayload: "{}" },
    };
    return {
      DurableExecutionArn: ARN,
      CheckpointToken: this.tokenText,
      InitialExecutionState: {
        Operations: [execution, ...this.visible.slice(0, 1000)],
        NextMarker: this.visible.length > 1000 ? "1000" : "",
      },
    };
  }

  page(marker, size) {
    const start = Number(marker || 0);
    const page = { Operations: this.visible.slice(start, start + size) };
    if (start + size < this.visible.length) page.NextMarker = String(start + size);
    return page;
  }
}

const line = { service: new Service(), latency: workload.latency_ms };
const pause = (ms) => (ms ? new Promise((done) => setTimeout(done, ms)) : new Promise((done) => setImmediate(done)));
const client = {
  async checkpoint(request) {
    const service = line.service;
    service.receive(request);
    await pause(line.latency);
    return service.answer(request);
  },
  async getExecutionState(request) {
    await pause(line.latency);
    return line.service.page(request.Marker, request.MaxItems ?? 1000);
  },
};

const give = (value) => async () => value;
const range = (count) => Array.from({ length: count }, (_, number) => number);
const PROGRAMS = {
  async steps(ctx) {
    for (const number of range(workload.count)) await ctx.step("give", give(number));
  },
  async map(ctx) {
    const body = (value) => async () => {
      if (workload.sleep_ms) await pause(workload.sleep_ms);
      return value;
    };
    const item = (inner, value) => inner.step("body", body(value));
    const options = workload.limit ? { maxConcurrency: workload.limit } : {};
    return (await ctx.map("map", range(workload.count), item, options)).getResults().length;
  },
  async replay_steps(ctx) {
    await PROGRAMS.steps(ctx);
    await ctx.wait({ seconds: 1 });
    await ctx.step("give", give("new"));
  },
  async replay_map(ctx) {
    const item = (inner) => inner.step("give", give(FORTY_CHARACTERS));
    const batch = await ctx.map("map", range(workload.count), item);
    await ctx.wait({ seconds: 1 });
    await ctx.step("give", give("new"));
    return batch.getResults().length;
  },
  async suspend(ctx) {
    await ctx.wait({ days: 1 });
  },
  async nested(ctx) {
    const item = async (inner, value) => inner.step("give", give(await inner.step("give", give(value))));
    const branch = async (inner) => (await inner.map("map", range(workload.count), item)).getResults().length;
    return (await ctx.parallel("parallel", Array(10).fill(branch))).getResults();
  },
  async resume(ctx) {
    const item = async (inner, value) => {
      const first = await inner.step("give", give(value));
      await inner.wait({ seconds: 1 });
      return inner.step("give", give(first));
    };
    return (await ctx.map("map", range(workload.count), item)).getResults().length;
  },
  async parked(ctx) {
    const item = async (inner) => {
      const [promise] = await inner.createCallback("callback");
      return promise;
    };
    return (await ctx.map("map", range(workload.count), item)).getResults().length;
  },
};

const lambdaContext = {
  awsRequestId: "00000000-0000-0000-0000-000000000000",
  functionName: "bench",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:bench:$LATEST",
  getRemainingTimeInMillis: () => 900_000,
};
const measured = { wall_ms: 0, cpu_ms: 0, grown_mb: 0, threads: 1 };

async function stretch(run) {
  globalThis.gc?.();
  const peak = process.resourceUsage().maxRSS;
  const cpu = process.cpuUsage();
  const wall = performance.now();
  const answer = await run();
  measured.wall_ms += performance.now() - wall;
  const used = process.cpuUsage(cpu);
  measured.cpu_ms += (used.user + used.system) / 1000;
  measured.grown_mb += (process.resourceUsage().maxRSS - peak) / 1024;
  return answer;
}

function expect(answer, status) {
  if (answer.Status !== status) throw new Void(`the invocation answered ${JSON.stringify(answer).slice(0, 500)}`);
}

function expectSteps(steps) {
  const done = line.service.finished.STEP ?? 0;
  if (done !== steps) throw new Void(`${done} steps succeeded, not ${steps}`);
}

async function measure() {
  const handler = withDurableExecution((event, ctx) => PROGRAMS[workload.kind](ctx), { durableExecutionClient: client });
  const invoke = (event) => handler(event, lambdaContext);
  let extra = {};
  if (["steps", "map", "nested"].includes(workload.kind)) {
    const event = line.service.event();
    expect(await stretch(() => invoke(event)), "SUCCEEDED");
    expectSteps(workload.steps);
  } else if (workload.kind.startsWith("replay")) {
    line.latency = 0;
    expect(await invoke(line.service.event()), "PENDING");
    const { calls } = line.service;
    const done = line.service.finished.STEP;
    line.service.skipWaits();
    line.latency = workload.latency_ms;
    const event = line.service.event();
    expect(await stretch(() => invoke(event)), "SUCCEEDED");
    expectSteps(done + 1);
    extra = { calls: line.service.calls - calls };
  } else if (workload.kind === "suspend") {
    expect(await invoke(line.service.event()), "PENDING");
    const services = range(workload.count).map(() => new Service());
    await stretch(async () => {
      for (const service of services) {
        line.service = service;
        expect(await invoke(service.event()), "PENDING");
      }
    });
    measured.wall_ms /= workload.count;
    measured.cpu_ms /= workload.count;
  } else if (workload.kind === "resume") {
    let answer;
    for (let invocation = 0; invocation < 10; invocation += 1) {
      const event = line.service.event();
      answer = await stretch(() => invoke(event));
      if (answer.Status !== "PENDING") break;
      line.service.skipWaits();
    }
    expect(answer, "SUCCEEDED");
    expectSteps(workload.steps);
  } else if (workload.kind === "parked") {
    const event = line.service.event();
    expect(await stretch(() => invoke(event)), "PENDING");
    extra = { kb_each: (measured.grown_mb * 1024) / workload.count };
  } else {
    throw new Error(`no program for ${workload.kind}`);
  }
  const { calls, updates, sent_bytes } = line.service;
  return { ...measured, calls, updates, sent_bytes, ...extra };
}

let outcome;
try {
  outcome = await measure();
} catch (error) {
  outcome = { void: error instanceof Void ? error.message : String(error.stack) };
}
console.log(JSON.stringify(outcome));
process.exit(0);
