/** Messages that wait for a bind, first in, first out. Taking one costs the same however many wait. Pure. */
import type { Job } from "./job.ts";

export interface JobQueue {
	put(job: Job): void;
	/** The oldest; undefined when none waits. */
	take(): Job | undefined;
	/** Takes those of one message out, wherever they are. */
	withdraw(id: string): Job[];
	/** Messages. */
	waiting(): number;
	/** Their parts. */
	parts(): number;
}

/** Places before the head are given up when there are so many. */
const emptyMax = 1_024;

export function createJobQueue(): JobQueue {
	let jobs: Job[] = [];
	/** Index of the first waiting job. */
	let head = 0;
	let parts = 0;
	return {
		put(job) {
			jobs.push(job);
			parts += job.pdus.length;
		},
		take() {
			const job = jobs[head];
			if (job === undefined) return undefined;
			parts -= job.pdus.length;
			head++;
			if (head === jobs.length || head > emptyMax) {
				jobs = jobs.slice(head);
				head = 0;
			}
			return job;
		},
		withdraw(id) {
			const waiting = jobs.slice(head);
			const withdrawn = waiting.filter((job) => job.id === id);
			if (withdrawn.length === 0) return withdrawn;
			jobs = waiting.filter((job) => job.id !== id);
			head = 0;
			for (const job of withdrawn) parts -= job.pdus.length;
			return withdrawn;
		},
		waiting: () => jobs.length - head,
		parts: () => parts,
	};
}

/** Of a message whose later start is known, nothing of an earlier one leaves any more: that start is void. */
export function withdrawUnsent(queues: readonly JobQueue[], id: string): void {
	for (const queue of queues) for (const job of queue.withdraw(id)) job.settle({ kind: "unsent" });
}
