import { describe, expect, test } from '@jest/globals';
import { REASONS, type ReasonCode } from '../../src/reason/reason.js';
import { createTelemetry, mergeSnapshots, type ShedSeen } from '../../src/telemetry/metrics.js';

/** The lines of an exposition that carry values. */
async function values(telemetry: { exposition(): Promise<{ readonly text: string }> }): Promise<string[]> {
  return (await telemetry.exposition()).text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

const plain = () => createTelemetry({ processMetrics: false });

describe('the metrics', () => {
  test('count what happened', async () => {
    const telemetry = plain();
    telemetry.challenged();
    telemetry.challenged();
    telemetry.released(3);
    telemetry.denied('quote.binding');
    telemetry.committed(48, 0.2);
    telemetry.regressed();
    for (let each = 0; each < 3; each++) telemetry.sightingDropped();
    telemetry.requested({ route: '/v1/releases', method: 'POST', status: 200, seconds: 0.003 });
    telemetry.requested({ route: 'unknown', method: 'other', status: 404, reason: 'route.unknown', seconds: 0.001 });
    telemetry.requested({ route: '/v1/releases', method: 'POST', status: 'aborted', seconds: 0.001 });
    expect(await values(telemetry)).toEqual(
      expect.arrayContaining([
        'portcullis_challenges_total 2',
        'portcullis_releases_total 1',
        'portcullis_denials_total{reason="quote.binding"} 1',
        'portcullis_denials_total{reason="policy.hash"} 0',
        'portcullis_http_problems_total{reason="route.unknown"} 1',
        'portcullis_release_duration_seconds_sum 0.003',
        'portcullis_commit_records_sum 48',
        'portcullis_attester_regressions_total 1',
        'portcullis_attester_sightings_dropped_total 3',
        'portcullis_commit_duration_seconds_count 1',
        'portcullis_http_request_duration_seconds_count{route="/v1/releases",method="POST",status="200"} 1',
        'portcullis_http_request_duration_seconds_count{route="/v1/releases",method="POST",status="aborted"} 1',
        'portcullis_http_request_duration_seconds_count{route="unknown",method="other",status="404"} 1',
      ]),
    );
  });

  test('count what was shed, and read levels when somebody looks', async () => {
    const telemetry = plain();
    telemetry.shed('request.share');
    telemetry.shed('request.share');
    telemetry.shed('connection.idle');
    telemetry.shed('made.up' as ShedSeen);
    telemetry.waited(250);
    let connections = 1;
    telemetry.level('connections', () => connections);
    connections = 7;
    const lines = await values(telemetry);
    expect(lines).toEqual(
      expect.arrayContaining([
        'portcullis_shed_total{what="request",cause="share"} 2',
        'portcullis_shed_total{what="request",cause="overload"} 0',
        'portcullis_shed_total{what="connection",cause="idle"} 1',
        'portcullis_admission_wait_seconds_sum 0.25',
        'portcullis_connections 7',
        'portcullis_requests_waiting 0',
      ]),
    );
    expect(lines.filter((line) => line.includes('made'))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('portcullis_shed_total'))).toHaveLength(10);
  });

  test('have every reason of the registry from the start', async () => {
    const lines = await values(plain());
    for (const reason of Object.keys(REASONS))
      expect(lines).toContain(`portcullis_denials_total{reason="${reason}"} 0`);
  });

  test('take no label from outside the registry', async () => {
    const telemetry = plain();
    telemetry.denied('made.up"} 1\n' as ReasonCode);
    telemetry.requested({ route: '/', method: 'GET', status: 400, reason: 'made.up' as ReasonCode, seconds: 0 });
    const { text } = await telemetry.exposition();
    expect(text).not.toContain('made.up');
    expect(text).toContain('portcullis_denials_total{reason="internal"} 1');
  });

  test('all bear the name of the product, those of the process too', async () => {
    const { text, contentType } = await createTelemetry().exposition();
    expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(names).toContain('portcullis_process_cpu_seconds_total');
    expect(names.filter((name) => !name?.startsWith('portcullis_'))).toEqual([]);
  });

  test('are each process its own, and add up', async () => {
    const [one, two] = [plain(), plain()];
    one.released(1);
    two.released(1);
    two.denied('ak.untrusted');
    expect(await values(one)).toContain('portcullis_releases_total 1');
    // As it passes between processes.
    const snapshots = JSON.parse(JSON.stringify([await one.snapshot(), await two.snapshot()])) as Parameters<
      typeof mergeSnapshots
    >[0];
    const { text } = await mergeSnapshots(snapshots);
    expect(text).toContain('portcullis_releases_total 2');
    expect(text).toContain('portcullis_denials_total{reason="ak.untrusted"} 1');
    expect(text).toContain('portcullis_release_duration_seconds_count 2');
  });
});
