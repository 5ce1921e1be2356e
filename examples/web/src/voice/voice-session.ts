import { request, subscribeAndResume } from '@switchboard/client';
import { VoiceCall } from '../../../voice-call.ts';
import { socket } from '../client.ts';
import { type Connection, connect } from './connect.ts';
import { writeDemoEvents } from './demo-call.ts';
import {
  endCallDocument,
  type StartCallMutation,
  type SwitchesSubscription,
  startCallDocument,
  switchesDocument,
} from './generated/operations.ts';
import { Recording } from './record-call.ts';

/** DEMO: a call without a voice model, whose transcript is a script. */
type CallStatus = 'IDLE' | 'STARTING' | 'OPEN' | 'DEMO' | 'ENDED';

interface Line {
  readonly id: string;
  readonly speaker: string;
  readonly text: string;
}

/** What the page shows of a call. */
export interface CallState {
  readonly status: CallStatus;
  readonly agent: string;
  readonly conversationId: string | null;
  readonly lines: readonly Line[];
  /** A tool that a person has to decide on. */
  readonly question: { readonly tool: string; readonly args: string; decide(approve: boolean): void } | null;
  readonly isTalking: boolean;
  readonly recordingUrl: string | null;
  readonly remote: MediaStream | null;
  readonly problem: string | null;
}

export const noCall: CallState = {
  status: 'IDLE',
  agent: '',
  conversationId: null,
  lines: [],
  question: null,
  isTalking: false,
  recordingUrl: null,
  remote: null,
  problem: null,
};

type Session = StartCallMutation['startRealtimeSession'];
type ProviderEvent = Parameters<VoiceCall['take']>[0];

/** One call: from the minting of its key to the end of its session. */
export class VoiceSession {
  readonly #show: (state: CallState) => void;
  #state = noCall;
  #session: Session | null = null;
  #voice: VoiceCall | null = null;
  #microphone: MediaStream | null = null;
  #connection: Connection | null = null;
  #recording: Recording | null = null;
  #unsubscribe = () => {};

  /** @param show is called with each state */
  constructor(show: (state: CallState) => void) {
    this.#show = show;
  }

  /** @param callsUrl where the provider takes calls; empty: the server has the demo model */
  async start(scenarioKey: string, callsUrl: string): Promise<void> {
    this.#set({ ...noCall, status: 'STARTING' });
    try {
      const started = await request<StartCallMutation>(socket, startCallDocument, { scenarioKey });
      const session = started.startRealtimeSession;
      this.#session = session;
      this.#set({ agent: session.initialAgents[0]?.name ?? '', conversationId: session.conversation.id });
      this.#voice = this.#openVoice(session);
      this.#followSwitches(session);
      const key = session.ephemeralKey ?? '';
      const isDemo = callsUrl === '' || key.startsWith('ek_switchboard_demo_');
      await this.#openMicrophone(isDemo);
      if (isDemo) return await this.#playDemo(session);
      if (this.#microphone === null) throw new Error('A call needs a microphone.');
      this.#connection = await connect(callsUrl, key, this.#microphone);
      const { channel, remote } = this.#connection;
      channel.addEventListener('message', ({ data }) => void this.#take(JSON.parse(String(data))));
      channel.addEventListener('close', () => void this.end());
      this.#recording?.add(remote);
      this.#set({ status: 'OPEN', remote });
    } catch (error) {
      this.#set({ problem: error instanceof Error ? error.message : 'The call could not begin.' });
      await this.end();
    }
  }

  /** Push to talk: the microphone is heard only while the button is held. */
  talk(isTalking: boolean): void {
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = isTalking;
    this.#set({ isTalking });
  }

  /** Silences the agent. */
  interrupt(): void {
    this.#send({ type: 'response.cancel' });
    this.#send({ type: 'output_audio_buffer.clear' });
  }

  /** Hangs up, when what was said has been recorded. */
  async end(): Promise<void> {
    if (this.#state.status === 'ENDED') return;
    this.#set({ status: 'ENDED', isTalking: false, remote: null });
    this.#state.question?.decide(false);
    this.#unsubscribe();
    this.#connection?.close();
    const recordingUrl = (await this.#recording?.end().catch(() => null)) ?? null;
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    this.#set({ recordingUrl });
    await this.#voice?.flush();
    if (this.#session) await request(socket, endCallDocument, { id: this.#session.id }).catch(() => {});
  }

  #openVoice(session: Session): VoiceCall {
    return new VoiceCall({
      ask: (document, variables) => request(socket, document, { ...variables }),
      sessionId: session.id,
      agents: session.initialAgents,
      send: (event) => this.#send(event),
      approve: (tool, args) =>
        new Promise((resolve) => {
          const decide = (approve: boolean) => {
            this.#set({ question: null });
            resolve(approve);
          };
          this.#set({ question: { tool, args, decide } });
        }),
    });
  }

  #followSwitches({ conversation: { id, lastEventSeq } }: Session): void {
    const payload = { query: switchesDocument, variables: { id, after: lastEventSeq } };
    this.#unsubscribe = subscribeAndResume<SwitchesSubscription>(socket, payload, {
      next: ({ data }) => {
        const event = data?.conversationEvents;
        if (event?.__typename !== 'AgentSwitched') return;
        this.#voice?.switchTo(event.toAgent.name);
        this.#set({ agent: event.toAgent.name });
      },
      error: () => {},
      complete: () => {},
    });
  }

  async #openMicrophone(isDemo: boolean): Promise<void> {
    try {
      this.#microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      // A script needs none.
      if (!isDemo) throw new Error('The page may not use the microphone: allow it in the address bar, then try again.');
      return;
    }
    this.talk(false);
    this.#recording = new Recording();
    this.#recording.add(this.#microphone);
  }

  async #playDemo(session: Session): Promise<void> {
    this.#set({ status: 'DEMO' });
    for (const event of writeDemoEvents(session.id, session.initialAgents)) await this.#take(event);
    await this.#voice?.flush();
  }

  async #take(event: ProviderEvent): Promise<void> {
    const { type, item_id: id, transcript: text } = event;
    const isUser = type === 'conversation.item.input_audio_transcription.completed';
    if (id !== undefined && text && (isUser || type === 'response.output_audio_transcript.done')) {
      const speaker = isUser ? 'You' : (this.#voice?.activeAgent ?? '');
      this.#set({ lines: [...this.#state.lines, { id, speaker, text }] });
    }
    await this.#voice?.take(event);
    this.#set({ agent: this.#voice?.activeAgent ?? '' });
  }

  #send(event: object): void {
    if (this.#connection?.channel.readyState === 'open') this.#connection.channel.send(JSON.stringify(event));
  }

  #set(change: Partial<CallState>): void {
    this.#state = { ...this.#state, ...change };
    this.#show(this.#state);
  }
}
