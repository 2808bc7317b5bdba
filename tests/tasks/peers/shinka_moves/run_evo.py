search_task_sys_msg = "Reach every goal in one step."
job_config = dict(time="00:00:20")
