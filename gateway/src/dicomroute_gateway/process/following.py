"""Follows the mounted configuration; what does not load leaves the last good one in force, over restarts too."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from dicomroute_gateway.configuration.authentic import ConfigurationSeal
from dicomroute_gateway.configuration.load import ConfigurationError, Loaded, load, untold
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.routing import compile_rules

from .problems import Problems

_LAST_GOOD: Final = "configuration.json"
_MOUNTED_TOGETHER_SECONDS: Final = 150.0
"""Longer than a kubelet takes to mount what has changed (a sync period of 60 s, and what it remembers of a Secret)."""

log = structlog.get_logger(__name__)


class Following:
    """The configuration in force. `kept` is the folder in which the last good one is kept, on the spool's volume."""

    def __init__(self, mounted: Path, kept: Path, problems: Problems, seal: ConfigurationSeal) -> None:
        self._mounted = mounted
        self._seal = seal
        self._doubted_since: float | None = None
        self._key: str | None = None
        self._kept = kept / _LAST_GOOD
        self._problems = problems
        self._text: str | None = None
        self.loaded: Loaded | None = None
        self.active: Active | None = None
        """None until one has loaded."""

    def in_force(self) -> Active:
        """Return the configuration in force and its rules; there is one."""
        assert self.active is not None
        return self.active

    def configuration(self) -> Configuration:
        """Return the configuration in force."""
        return self.in_force().configuration

    def reload(self) -> bool:
        """Load the mounted configuration if its text has changed; return whether something else is in force."""
        try:
            text = self._mounted.read_text()
            fault = self._seal.fault(self._mounted, text)
            key = self._seal.key()
        except (OSError, UnicodeDecodeError) as error:
            self._problems.report("configuration", Reason.CONFIGURATION_MISSING, f"{self._mounted}: {error}")
            return self._fall_back()
        if fault:
            return self._doubt(fault)
        if text == self._text:
            if key != self._key:  # what is kept has to be recognized by the new one
                self._key = key
                self.keep()
            return False
        self._key = key
        self._text = text
        last_good = self.active.configuration if self.active else self._last_good()
        try:
            loaded = load(text, compile_rules, last_good)
        except ConfigurationError as error:
            self._problems.report("configuration", Reason.CONFIGURATION_INVALID, str(error))
            return self._withhold(text) if self.active else self._fall_back(text)
        if key is not None and last_good is not None and _is_older(loaded.configuration, last_good):
            return self._doubt("it is older than the configuration in effect")
        self._problems.solved("configuration")
        self._doubted_since = None
        self._take_over(loaded)
        return True

    def _doubt(self, fault: str) -> bool:
        """Do not take what somebody else may have written; key and configuration are not mounted at one moment."""
        self._text = None
        now = time.monotonic()
        self._doubted_since = self._doubted_since or now
        if self.active is None or now - self._doubted_since > _MOUNTED_TOGETHER_SECONDS:
            sentence = (
                f"{self._mounted.name} was not written by the operator: {fault}. The previous configuration stays in "
                "effect. Delete the ConfigMap, and the operator writes it again if it accepts the route. Check who "
                "else may write ConfigMaps in this namespace"
            )
            self._problems.report("configuration", Reason.CONFIGURATION_FORGED, sentence)
        return self._fall_back()

    def keep(self) -> None:
        """Keep the configuration in force for a start without a better one."""
        try:
            temporary = self._kept.with_suffix(".new")
            text = self.configuration().model_dump_json(by_alias=True)
            temporary.write_text(text)
            self._seal.sign(self._kept, text)
            temporary.rename(self._kept)
        except OSError as error:
            log.warning("configuration.last_good_not_kept", error=str(error))

    def _take_over(self, loaded: Loaded) -> None:
        self.active = Active(loaded.configuration, compile_rules(loaded.configuration.rules))
        self.loaded = loaded
        for finding in loaded.findings:
            log.warning(
                "configuration.section_kept",
                section=finding.section,
                reason=finding.reason,
                message=finding.message,
            )
        log.info("configuration.loaded", hash=loaded.hash, generation=loaded.configuration.generation)

    def _fall_back(self, newer: str | None = None) -> bool:
        """Start from the configuration that this spool last had, when the mounted one does not load."""
        if self.active is not None:
            return False
        last_good = self._last_good()
        if last_good is None:
            return False
        if newer is not None:
            last_good = last_good.model_copy(update={"treatment_not_in_force": untold(last_good, newer)})
        self._take_over(load(last_good.model_dump_json(by_alias=True), compile_rules))
        return True

    def _withhold(self, newer: str) -> bool:
        """Let the one in force go on, but for what a newer text treats in another way; return whether that is news."""
        assert self.active is not None
        assert self.loaded is not None
        configuration = self.active.configuration
        withheld = untold(configuration, newer)
        if withheld == configuration.treatment_not_in_force:
            return False
        configuration = configuration.model_copy(update={"treatment_not_in_force": withheld})
        self._take_over(replace(self.loaded, configuration=configuration))
        return True

    def _last_good(self) -> Configuration | None:
        try:
            text = self._kept.read_text()
            if fault := self._seal.fault(self._kept, text):
                log.warning("configuration.last_good_unusable", error=f"{self._kept.name}: {fault}")
                return None
            return load(text, compile_rules).configuration
        except FileNotFoundError:
            return None
        except (OSError, ConfigurationError) as error:
            log.warning("configuration.last_good_unusable", error=str(error))
            return None


def _is_older(configuration: Configuration, other: Configuration) -> bool:
    """Return whether a configuration is of an earlier generation of the same route: somebody has put it back."""
    return configuration.route.uid == other.route.uid and configuration.generation < other.generation
