"""Choices of the EEG simulator, nested as `twin` in the configs of real data sets; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from bench.schema import BenchError, option


@dataclass
class TwinConfig:
    """What can be set about the stand-in. Amplitudes are in microvolts at the scalp, root mean square over channels."""

    seed: int = option(0, "seed of everything random in the simulator", low=0)
    trials_per_session: int | None = option(None, "trials in a session; null: as many as the real data have", low=4)
    signal: float = option(5.0, "amplitude of the sources that tell the classes apart (uV)", low=0)
    background: float = option(6.0, "amplitude of the 1/f background activity (uV)", low=0)
    noise: float = option(2.0, "amplitude of the white noise of each sensor (uV)", low=0)
    erd: float = option(
        0.35, "share of a rhythm's amplitude lost in motor imagery (event-related desynchronisation)", low=0, high=1
    )
    jitter_ms: float = option(3.0, "standard deviation of the response latency from trial to trial (ms)", low=0)
    drift: float = option(
        0.05, "relative size of the random change of gains and mixing from session to session", low=0, high=1
    )
    ill_share: float = option(
        0.25, "share of trials with two bridged channels: condition number of the covariance above 1e5", low=0, high=1
    )

    def check(self) -> None:
        """Contradictions between fields (the bounds of each are checked by the frame)."""
        if self.signal == 0 and self.background == 0 and self.noise == 0:
            raise BenchError(
                "data.twin: signal, background and noise are all 0; give at least one of them an amplitude"
            )
