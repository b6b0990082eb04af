from reports.checks.base import Check as Check
from reports.checks.base import CheckSuite as CheckSuite
from reports.checks.base import Request as Request
from reports.checks.base import Status as Status
from reports.checks.base import check_report as check_report
from reports.checks.compiled import compared as compared
