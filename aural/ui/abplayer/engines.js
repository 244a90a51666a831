// The engines of the A/B player: each plays all versions in sync, with one of them audible.

const FADE_SECONDS = 0.003; // time constant: a switch takes about 10 ms, too short for a dip and too long for a click
const START_SECONDS = 0.02; // lead that lets every version start on the same sample
const MAX_START_SECONDS = 1; // of a page that is held up again and again
const REGION_SECONDS = 0.05; // the shortest loop region

// Short sounds: every version decoded, all sources started on one sample, one of them audible.
const bufferEngine = async (versions, rate, signal) => {
  const decoder = new OfflineAudioContext(1, 1, rate); // an AudioContext may not be created before a click
  const buffers = await Promise.all(
    versions.map(async (version) => {
      const response = await fetch(version.file.url, { signal }).catch(() => {
        throw new Error("Connection lost. Reload the page.");
      });
      if (!response.ok) throw new Error(`“${version.label}” has expired on the server. Run it again.`);
      const bytes = await response.arrayBuffer();
      return decoder.decodeAudioData(bytes).catch(() => {
        throw new Error(`This browser can't play “${version.label}”. Download the file to listen.`);
      });
    }),
  );
  // Padded to one length, all versions loop on the same sample.
  const length = Math.max(...buffers.map((buffer) => buffer.length));
  const padded = buffers.map((buffer) => {
    if (buffer.length === length) return buffer;
    const longer = decoder.createBuffer(buffer.numberOfChannels, length, rate);
    for (let channel = 0; channel < buffer.numberOfChannels; channel++)
      longer.copyToChannel(buffer.getChannelData(channel), channel);
    return longer;
  });

  let context = null;
  let run = null; // what is playing: { sources, gains, gate, startedAt, loops }
  let wanted = false;
  let offset = 0;
  let levels = versions.map(() => 0);
  let loop = null; // the loop region, { from, to } in seconds; a start behind it plays to the end first
  const setSource = (source) => {
    source.loop = loop !== null;
    if (loop) [source.loopStart, source.loopEnd] = [loop.from, loop.to];
  };
  const start = (lead = START_SECONDS) => {
    const loops = loop !== null && offset < loop.to;
    const gate = context.createGain();
    gate.gain.value = 0;
    gate.connect(context.destination);
    const gains = levels.map((level) => {
      const gain = context.createGain();
      gain.gain.value = level;
      gain.connect(gate);
      return gain;
    });
    const sources = padded.map((buffer, index) => {
      const source = context.createBufferSource();
      source.buffer = buffer;
      if (loops) setSource(source);
      source.connect(gains[index]);
      return source;
    });
    const startedAt = context.currentTime + lead;
    sources.forEach((source) => source.start(startedAt, offset));
    // A page that was held up has started some versions later than others: again, with more time.
    if (context.currentTime >= startedAt && lead < MAX_START_SECONDS) {
      gate.disconnect();
      sources.forEach((source) => source.stop());
      return start(2 * lead);
    }
    if (offset > 0) gate.gain.setTargetAtTime(1, startedAt, FADE_SECONDS);
    else gate.gain.setValueAtTime(1, startedAt);
    run = { sources, gains, gate, startedAt, loops };
    sources[0].onended = () => {
      if (run?.sources !== sources) return; // stopped by a pause or a seek
      run = null;
      if (loop) {
        offset = loop.from;
        return start();
      }
      wanted = false;
      offset = 0;
      engine.onend();
    };
  };
  const stop = () => {
    if (!run) return;
    const { sources, gate } = run;
    offset = engine.position();
    run = null;
    gate.gain.cancelScheduledValues(0);
    gate.gain.setTargetAtTime(0, context.currentTime, FADE_SECONDS);
    sources.forEach((source) => source.stop(context.currentTime + 10 * FADE_SECONDS));
  };
  const engine = {
    kind: "buffers",
    seconds: length / rate,
    onend: () => {},
    position: () => {
      if (!run) return offset;
      const reached = offset + Math.max(0, context.currentTime - run.startedAt);
      if (!run.loops || reached < loop.to) return Math.min(reached, engine.seconds);
      return loop.from + ((reached - loop.to) % (loop.to - loop.from));
    },
    play: async () => {
      wanted = true;
      context ??= new AudioContext({ sampleRate: rate });
      await context.resume();
      if (wanted && !run) start();
    },
    pause: () => {
      wanted = false;
      stop();
      // An idle context would keep a phone's audio device awake.
      setTimeout(() => wanted || context?.state !== "running" || context.suspend(), 200);
    },
    seek: (seconds) => {
      stop();
      offset = Math.min(seconds, engine.seconds);
      if (wanted && context.state === "running") start();
    },
    setLevels: (next) => {
      levels = next;
      run?.gains.forEach((gain, index) => gain.gain.setTargetAtTime(levels[index], context.currentTime, FADE_SECONDS));
    },
    setLoop: (next) => {
      const at = engine.position();
      // Whole samples, so that nothing is interpolated at the seam.
      next &&= { from: Math.round(next.from * rate) / rate, to: Math.round(next.to * rate) / rate };
      const inside = !next || (at >= next.from && at < next.to);
      const border = Math.min(run?.loops ? loop.to : engine.seconds, next ? next.to : engine.seconds);
      const restart = run && !(inside && border - at > REGION_SECONDS); // no source may reach its border meanwhile
      if (restart) stop();
      loop = next;
      if (!run) offset = inside ? offset : loop.from;
      if (restart) start();
      if (!run || restart) return;
      [offset, run.startedAt, run.loops] = [at, Math.max(run.startedAt, context.currentTime), loop !== null];
      run.sources.forEach(setSource);
    },
    close: () => {
      engine.pause();
      context?.close();
    },
  };
  return engine;
};

// Long sounds: one streaming element per version; the silent ones follow the audible one.
const streamEngine = async (versions, rate, signal) => {
  const players = versions.map((version) => Object.assign(new Audio(version.file.url), { preload: "auto" }));
  signal.addEventListener("abort", () => {
    for (const player of players) {
      player.removeAttribute("src");
      player.load(); // ends the download
    }
  });
  await Promise.all(
    players.map(
      (player, index) =>
        new Promise((resolve, reject) => {
          player.oncanplay = resolve;
          player.onerror = () =>
            reject(new Error(`This browser can't play “${versions[index].label}”. Download the file to listen.`));
        }),
    ),
  );
  let context = null;
  let gains = [];
  let levels = versions.map(() => 0);
  let loop = null;
  let inside = false; // whether the loop's end is still ahead
  const audible = () => players[Math.max(0, levels.findIndex((level) => level > 0))];
  const engine = {
    kind: "stream",
    seconds: Math.max(...players.map((player) => player.duration)),
    onend: () => {},
    position: () => {
      const leader = audible();
      if (inside && leader.currentTime >= loop.to) engine.seek(loop.from);
      for (const player of players) {
        const lag = leader.currentTime - player.currentTime;
        if (player === leader || leader.paused || Math.abs(lag) < 0.002) player.playbackRate = 1;
        else if (Math.abs(lag) < 0.5) player.playbackRate = 1 + Math.min(0.2, Math.max(-0.2, 2 * lag));
        else if (!player.seeking) player.currentTime = leader.currentTime;
      }
      return leader.currentTime;
    },
    play: async () => {
      if (!context) {
        context = new AudioContext({ sampleRate: rate });
        gains = players.map((player, index) => {
          const gain = context.createGain();
          gain.gain.value = levels[index];
          context.createMediaElementSource(player).connect(gain).connect(context.destination);
          return gain;
        });
      }
      await context.resume();
      await Promise.all(players.map((player) => player.play()));
    },
    pause: () => players.forEach((player) => player.pause()),
    seek: (seconds) => {
      players.forEach((player) => (player.currentTime = seconds));
      inside = loop !== null && seconds < loop.to;
    },
    setLevels: (next) => {
      levels = next;
      gains.forEach((gain, index) => gain.gain.setTargetAtTime(levels[index], context.currentTime, FADE_SECONDS));
    },
    setLoop: (next) => {
      loop = next;
      const at = audible().currentTime;
      inside = loop !== null && at >= loop.from && at < loop.to;
      if (loop && !inside) engine.seek(loop.from);
    },
    close: () => {
      engine.pause();
      context?.close();
    },
  };
  players.forEach((player) => {
    player.onended = () => {
      if (player !== audible()) return;
      engine.pause();
      engine.seek(loop ? loop.from : 0);
      loop ? engine.play().catch(engine.onend) : engine.onend();
    };
    // On a busy machine Chromium may wait forever for data it already has; a seek to its position wakes it.
    player.onwaiting = () =>
      setTimeout(() => {
        const { buffered, currentTime: at } = player;
        const enough = Math.min(at + 0.5, player.duration - 0.05);
        const holds = (_, span) => buffered.start(span) <= at && buffered.end(span) >= enough;
        if (player.paused || player.readyState > 2 || !Array.from(buffered, holds).some(Boolean)) return;
        player.currentTime = at;
      }, 300);
    player.ontimeupdate = () => engine.position(); // a background page draws no frames, but its loop must continue
  });
  return engine;
};
