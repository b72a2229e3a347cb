"""The composition root: the only place that names concrete services and plugs their ports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from triune.core.files import own_folder, write_atomic
from triune.core.workspace import Workspace

if TYPE_CHECKING:
    from triune.data.backends.dvc import DvcStore
    from triune.data.backups.service import Backups
    from triune.data.expect.service import Expectations
    from triune.data.features.service import Features
    from triune.data.flows.service import Flows
    from triune.data.pipelines.service import Pipelines
    from triune.data.service import Data
    from triune.data.shift.service import Shifts
    from triune.data.streams.service import Streams
    from triune.delivery.abtest.service import ABTests
    from triune.delivery.flags.planning import Planning
    from triune.delivery.flags.service import Flags
    from triune.delivery.rollout.service import Rollouts
    from triune.delivery.service import Delivery
    from triune.ledger.service import Ledger
    from triune.models.registry.service import Registry
    from triune.models.tracking.catalog import RunCatalog
    from triune.operations.services.addresses import Addresses
    from triune.operations.services.supervisor import Supervisor


@dataclass(frozen=True)
class Context:
    """One workspace with its services, each built when it is first asked for."""

    workspace: Workspace

    def __post_init__(self) -> None:
        """Keep Triune's own state to its owner, and out of git, whatever the workspace's own
        ignore file says."""
        ignore = own_folder(self.workspace.home) / ".gitignore"
        if not ignore.exists():
            write_atomic(ignore, "*\n")

    @cached_property
    def addresses(self) -> Addresses:
        from triune.operations.services.addresses import Addresses

        return Addresses(self.workspace)

    @cached_property
    def ledger(self) -> Ledger:
        from triune.ledger.service import Ledger

        return Ledger.open(
            self.addresses.ledger_url,
            self.workspace.journal,
            workspace=self.workspace.name,
            patient=True,
        )

    @cached_property
    def supervisor(self) -> Supervisor:
        from triune.operations.services.supervisor import Supervisor

        return Supervisor(self.workspace)

    @cached_property
    def data(self) -> Data:
        from triune.data.service import Data

        return Data(self.workspace, self.ledger, self._dvc, self._dvc.remote)

    @cached_property
    def _dvc(self) -> DvcStore:
        from triune.data.backends.dvc import DvcStore
        from triune.data.model import Remote

        home, s3 = self.workspace.home.resolve(), self.addresses.s3
        remote = Remote(str(home / "dvc-remote"))
        if s3 is not None:
            url = f"s3://dvc/{self.workspace.name}"
            remote = Remote(url, s3.url, s3.access_key, s3.secret_key, s3.region)
        return DvcStore(self.workspace.root.resolve(), home / "dvc", remote)

    @cached_property
    def expectations(self) -> Expectations:
        from triune.data.expect.service import Expectations

        return Expectations(self.workspace, self.data, self.ledger)

    @cached_property
    def shifts(self) -> Shifts:
        from triune.data.shift.service import Shifts

        return Shifts(self.data, self.workspace.state / "diff")

    @cached_property
    def pipelines(self) -> Pipelines:
        from triune.app import features, stages
        from triune.data.backends.dvc_stages import DvcStages
        from triune.data.pipelines.service import Pipelines

        return Pipelines(
            self.workspace,
            self.ledger,
            self.data,
            DvcStages(self._dvc, tuple(self.workspace.config.stages)),
            commit=lambda: features.commit(self),
            locate=lambda path: features.dataset_of(self, path),
            sort=partial(stages.sort, self),
        )

    @cached_property
    def features(self) -> Features:
        from triune.app import features

        return features.use_cases(self)

    @cached_property
    def streams(self) -> Streams:
        from triune.data.backends.kafka import KafkaBroker
        from triune.data.streams.service import Streams

        return Streams(
            self.workspace, self.features, KafkaBroker(self.addresses.kafka), self.ledger
        )

    @cached_property
    def backups(self) -> Backups:
        from triune.app import backups

        return backups.use_cases(self)

    @cached_property
    def flows(self) -> Flows:
        from triune.app import flows

        return flows.use_cases(self)

    @cached_property
    def runs(self) -> RunCatalog:
        from triune.models.tracking.catalog import RunCatalog

        return RunCatalog(self.workspace, self.ledger)

    @cached_property
    def registry(self) -> Registry:
        from triune.models.registry.service import Registry

        return Registry(self.workspace, self.ledger)

    @cached_property
    def delivery(self) -> Delivery:
        from triune.app import rollouts

        return rollouts.delivery(self)

    @cached_property
    def rollouts(self) -> Rollouts:
        from triune.app import rollouts

        return rollouts.use_cases(self)

    @cached_property
    def flags(self) -> Flags:
        from triune.delivery.flags.service import Flags

        return Flags(self.ledger, self.workspace.name, in_use=self._user_of_flag)

    def _user_of_flag(self, key: str) -> str | None:
        from triune.app import abtests

        return abtests.register(self).using(key)

    @cached_property
    def abtests(self) -> ABTests:
        from triune.app import abtests

        return abtests.use_cases(self)

    @cached_property
    def flag_plans(self) -> Planning:
        from triune.delivery.flags.planning import Planning

        return Planning(self.ledger, self.flags, self.workspace.name)

    def close(self) -> None:
        """Give back what was opened."""
        if "streams" in self.__dict__:
            self.streams.close()
        if "features" in self.__dict__:
            self.features.close()
        if "ledger" in self.__dict__:
            self.ledger.close()
