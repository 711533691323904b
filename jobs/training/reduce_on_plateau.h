// lr_scheduler_type reduce_lr_on_plateau: the rate falls when an evaluated metric has stopped
// improving. No warmup. Decides as torch.optim.lr_scheduler.ReduceLROnPlateau (torch 2.15) does.
#pragma once

#include <memory>

#include "jobs/training/schedule.h"
#include "jobs/training/schedule_kwargs.h"

namespace rankwise {

// Errors: kUsage: factor not below 1, a mode that does not exist.
std::unique_ptr<Schedule> reduce_on_plateau(double learning_rate, const ScheduleKwargs& kwargs);

}  // namespace rankwise
